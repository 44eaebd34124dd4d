using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>Machine code that this process may run: written first, then made read-only and executable.</summary>
internal sealed unsafe partial class ExecutableMemory : SafeHandle
{
    // Linux's mman.h, x86-64.
    private const int Read = 1;
    private const int Write = 2;
    private const int Execute = 4;
    private const int PrivateAnonymous = 0x22;
    private static readonly nint s_failed = -1;

    private readonly nuint _byteCount;

    private ExecutableMemory(nint address, nuint byteCount)
        : base(invalidHandleValue: s_failed, ownsHandle: true)
    {
        SetHandle(address);
        _byteCount = byteCount;
    }

    /// <summary>Where the code begins.</summary>
    public byte* Address => (byte*)handle;

    public override bool IsInvalid => handle == s_failed;

    /// <summary>Takes memory for code; null where the system is none that this knows, or does not allow it.</summary>
    public static ExecutableMemory? Create(ReadOnlySpan<byte> code)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            return null;
        }

        nint address = Map(0, (nuint)code.Length, Read | Write, PrivateAnonymous, -1, 0);
        if (address == s_failed)
        {
            return null;
        }

        var memory = new ExecutableMemory(address, (nuint)code.Length);
        code.CopyTo(new Span<byte>(memory.Address, code.Length));
        if (Protect(address, (nuint)code.Length, Read | Execute) == 0)
        {
            return memory;
        }

        memory.Dispose();
        return null;
    }

    protected override bool ReleaseHandle() => Unmap(handle, _byteCount) == 0;

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int Protect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}
