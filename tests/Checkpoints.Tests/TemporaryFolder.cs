using System.Buffers.Binary;
using System.Text;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>A folder for one test's files.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("moe-checkpoints-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Writes a safetensors file byte by byte, so that it can be wrong in any way.</summary>
    public string Write(string name, string header, long dataByteCount)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        return Write(name, json, (ulong)json.Length, dataByteCount);
    }

    public string Write(string name, byte[] json, ulong statedLength, long dataByteCount)
    {
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, statedLength);
        using FileStream stream = System.IO.File.Create(File(name));
        stream.Write(length);
        stream.Write(json);
        stream.SetLength(8 + json.Length + dataByteCount);
        return stream.Name;
    }

    public string WriteText(string name, string text)
    {
        System.IO.File.WriteAllText(File(name), text);
        return File(name);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
