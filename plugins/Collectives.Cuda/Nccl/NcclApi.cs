using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary>
/// NCCL's calls, as its header <c>nccl.h</c> declares them (2.18 and later). Every result is a <c>ncclResult_t</c>; counts are <c>size_t</c>,
/// communicators, streams and addresses <c>nint</c>.
/// </summary>
internal static unsafe partial class NcclApi
{
    private const string Library = NcclLibrary.Name;

    [LibraryImport(Library)]
    internal static partial int ncclGetVersion(out int version);

    [LibraryImport(Library)]
    internal static partial int ncclGetUniqueId(NcclUniqueId* id);

    [LibraryImport(Library)]
    internal static partial int ncclCommInitRankConfig(out nint communicator, int count, NcclUniqueId id, int rank, NcclConfig* config);

    [LibraryImport(Library)]
    internal static partial int ncclCommGetAsyncError(nint communicator, out int error);

    [LibraryImport(Library)]
    internal static partial int ncclCommFinalize(nint communicator);

    [LibraryImport(Library)]
    internal static partial int ncclCommDestroy(nint communicator);

    [LibraryImport(Library)]
    internal static partial int ncclCommAbort(nint communicator);

    [LibraryImport(Library)]
    internal static partial nint ncclGetErrorString(int result);

    [LibraryImport(Library)]
    internal static partial nint ncclGetLastError(nint communicator);

    [LibraryImport(Library)]
    internal static partial int ncclAllReduce(nint source, nint destination, nuint count, NcclType type, NcclOperation operation, nint communicator, nint stream);

    [LibraryImport(Library)]
    internal static partial int ncclReduceScatter(nint source, nint destination, nuint count, NcclType type, NcclOperation operation, nint communicator, nint stream);

    [LibraryImport(Library)]
    internal static partial int ncclAllGather(nint source, nint destination, nuint count, NcclType type, nint communicator, nint stream);

    /// <summary>The C library's, which NCCL reads its variables with: .NET has a copy of the environment that native code does not see.</summary>
    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int SetVariable(string name, string value, int overwrites);
}
