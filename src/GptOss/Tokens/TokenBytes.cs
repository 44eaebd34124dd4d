using System.Collections.Frozen;

namespace Moe.Plugins.GptOss;

/// <summary>What a tokenizer needs beside the library's encoder: the bytes of each token, and which tokens are special.</summary>
/// <param name="Bytes">By id; null where the id is special or none at all.</param>
/// <param name="Specials">Names by id.</param>
internal sealed record TokenBytes(byte[]?[] Bytes, FrozenDictionary<int, string> Specials);
