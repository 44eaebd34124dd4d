using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu.Bench;

/// <summary>Memory to stream, in 2 MB pages where Linux gives them, as the backend's weights are.</summary>
internal sealed unsafe partial class StreamMemory : IDisposable
{
    private const nuint PageSize = 2 << 20;

    /// <summary><c>MADV_HUGEPAGE</c> of Linux's <c>madvise</c>(2).</summary>
    private const int AdviseHugePage = 14;

    public StreamMemory(nuint byteCount)
    {
        Address = (byte*)NativeMemory.AlignedAlloc(byteCount, PageSize);
        if (OperatingSystem.IsLinux())
        {
            _ = Advise(Address, byteCount, AdviseHugePage);
        }

        NativeMemory.Fill(Address, byteCount, 1);
    }

    public byte* Address { get; }

    public void Dispose() => NativeMemory.AlignedFree(Address);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
