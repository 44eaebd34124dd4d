using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives.Tests;

public sealed partial class NcclEnvironmentTests
{
    /// <summary>In the environment that native code reads, whether or not a library is found, and whatever stood there.</summary>
    [Fact]
    public void Multicast_is_off_before_the_library_is_loaded()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "NCCL is there for Linux only");
        _ = NcclApi.SetVariable("NCCL_NVLS_ENABLE", "1", 1);

        bool isLoaded = NcclLibrary.TryLoad("/nowhere/libnccl.so.2", out _, out string reason);

        Assert.False(isLoaded);
        Assert.Contains("/nowhere/libnccl.so.2", reason, StringComparison.Ordinal);
        Assert.Equal("0", Marshal.PtrToStringUTF8(GetVariable("NCCL_NVLS_ENABLE")));
    }

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetVariable(string name);
}
