namespace Moe.Plugins.GptOss;

/// <summary>The keys and values of one text, where an engine keeps them.</summary>
internal interface IKeyValueCache : IDisposable
{
    /// <summary>Bytes that it takes now.</summary>
    long ByteCount { get; }

    /// <summary>Makes room for so many positions in all.</summary>
    /// <exception cref="MoeException">There is no memory for them.</exception>
    void Reserve(int positions);
}
