namespace Moe.Plugins.Cli;

/// <summary>One rank's BF16 tensors, as wide as its group's rows, and the stream that fills and reads them.</summary>
internal abstract class RankTensors(IMoeCommunicator member) : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    protected IMoeCommunicator Member => member;

    protected nint Stream { get; } = member.Memory.CreateStream();

    public void Dispose()
    {
        _owned.AsEnumerable().Reverse().ToList().ForEach(item => item.Dispose());
        member.Memory.DestroyStream(Stream);
    }

    protected DeviceBuffer OnDevice(int rows) => Own(new DeviceBuffer(member.Memory, MoeElementType.BFloat16, rows, member.Request.Width));

    protected MoeBuffer OnHost(int rows) => Own(MoeBuffer.OnHost(MoeElementType.BFloat16, rows, member.Request.Width));

    /// <summary>Numbers on the host, as <see cref="BenchNumbers.Create"/> makes them.</summary>
    protected MoeBuffer Numbers(int rows, int seed, int stream) => Own(BenchNumbers.Create(rows, member.Request.Width, seed, stream));

    protected T Own<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
