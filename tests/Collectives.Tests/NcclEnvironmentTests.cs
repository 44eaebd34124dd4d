using System.Diagnostics;
using System.Runtime.InteropServices;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>
/// What NCCL finds in its environment. A library that is none stands for it: it notes what the C library's <c>getenv</c> says when it is asked for its
/// version and when a communicator is made. Each case is a process, which loads NCCL once.
/// </summary>
public sealed partial class NcclEnvironmentTests
{
    private const string Variable = "NCCL_NVLS_ENABLE";

    private const string Source =
        """
        #include <stdlib.h>
        #include <string.h>
        static char seen[64] = "nothing";
        static void note(void) { const char* v = getenv("NCCL_NVLS_ENABLE"); strncat(strncat(seen, " ", 1), v ? v : "unset", 16); }
        int ncclGetVersion(int* version) { *version = 22809; note(); return 0; }
        typedef struct { char bytes[128]; } id;
        int ncclCommInitRankConfig(void** comm, int count, id of, int rank, void* config) { *comm = 0; note(); return 0; }
        const char* ncclGetErrorString(int result) { return seen; }
        """;

    /// <summary>Unless it is asked for, whatever stood there; then NCCL's own choice or the user's word is left.</summary>
    [Theory]
    [InlineData(false, "", "0 0")]
    [InlineData(false, "1", "0 0")]
    [InlineData(true, "", "unset unset")]
    [InlineData(true, "1", "1 1")]
    [InlineData(true, "0", "0 0")]
    public async Task Multicast_is_off_before_a_communicator_is_made_unless_it_is_asked_for(bool asked, string before, string found)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/usr/bin/gcc"), "NCCL is there for Linux only, and its stand-in needs a compiler");
        string name = $"{asked} {before}";
        if (OwnProcess.Told is not { } told)
        {
            string folder = Directory.CreateTempSubdirectory("moe-nccl").FullName;
            string library = Path.Combine(folder, "libnccl.so.2");
            await File.WriteAllTextAsync(Path.Combine(folder, "nccl.c"), Source, TestContext.Current.CancellationToken);
            using (Process compiler = Process.Start("/usr/bin/gcc", ["-shared", "-fPIC", "-o", library, Path.Combine(folder, "nccl.c")]))
            {
                await compiler.WaitForExitAsync(TestContext.Current.CancellationToken);
                Assert.Equal(0, compiler.ExitCode);
            }

            // An empty value is none, to .NET and to who starts processes with it.
            await OwnProcess.RunAsync(
                nameof(Multicast_is_off_before_a_communicator_is_made_unless_it_is_asked_for), $"{name}|{library}", before.Length == 0 ? [] : [(Variable, before)]);
            Directory.Delete(folder, recursive: true);
            return;
        }

        if (told.StartsWith($"{name}|", StringComparison.Ordinal))
        {
            if (before.Length == 0)
            {
                _ = RemoveVariable(Variable);
            }

            Assert.Equal($"nothing {found}", Load(told[(name.Length + 1)..], asked));
            Assert.Equal(found.Split(' ')[0], Marshal.PtrToStringUTF8(GetVariable(Variable)) ?? "unset");
        }
    }

    [Theory]
    [InlineData("true", true)]
    [InlineData("false", false)]
    public void Who_asks_for_multicast_reads_that_it_was_never_exercised(string value, bool says)
    {
        using MoeHost host = CollectivesHost.Create(("NvLinkMulticast", value));

        MoeProbeResult result = host.FindBackend(CollectivesHost.Id)!.Probe(new MoeProbeRequest { Shape = MoeLayerShape.GptOss20B, Device = MoeDevice.Cuda(0) });

        Assert.Equal(says, result.Message.Contains("multicast over NVLink, which has never been exercised", StringComparison.Ordinal));
    }

    private static unsafe string? Load(string library, bool mayMulticast)
    {
        Assert.True(NcclLibrary.TryLoad(library, "Nccl", mayMulticast, out int version, out string reason), reason);
        Assert.Equal(22809, version);
        NcclConfig config = NcclConfig.NonBlocking;
        Assert.Equal(0, NcclApi.ncclCommInitRankConfig(out _, 2, default, 0, &config));
        return Marshal.PtrToStringUTF8(NcclApi.ncclGetErrorString(0));
    }

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint GetVariable(string name);

    [LibraryImport("libc", EntryPoint = "unsetenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RemoveVariable(string name);
}
