using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>Asks Linux to back large buffers with 2 MB pages: streaming weights then misses the TLB 512 times less often.</summary>
internal static unsafe partial class HugePages
{
    private const nuint PageSize = 2 << 20;
    private const nuint LineSize = 64;

    /// <summary><c>MADV_HUGEPAGE</c> of Linux's <c>madvise</c>(2).</summary>
    private const int AdviseHugePage = 14;

    public static void* Allocate(nuint byteCount)
    {
        if (byteCount < PageSize)
        {
            return NativeMemory.AlignedAlloc(byteCount, LineSize);
        }

        void* address = NativeMemory.AlignedAlloc(byteCount, PageSize);
        if (OperatingSystem.IsLinux())
        {
            // Advice only: a kernel that does not take it leaves small pages, which work as well.
            _ = Advise(address, byteCount / PageSize * PageSize, AdviseHugePage);
        }

        return address;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
