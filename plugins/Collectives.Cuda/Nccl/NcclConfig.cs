using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary>
/// The first members of <c>ncclConfig_t</c>, those of 2.18. NCCL copies as many bytes as <see cref="Size"/> says, and takes what <see cref="Version"/>
/// did not have yet as not set.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NcclConfig
{
    private const uint MagicNumber = 0xcafebeef;
    private const int NotSet = int.MinValue;

    public nuint Size;
    public uint Magic;
    public uint Version;
    public int Blocking;
    public int ClusterSize;
    public int MinBlocks;
    public int MaxBlocks;
    public nint NetworkName;
    public int SplitShare;
    public int TrafficClass;

    /// <summary>A communicator whose calls return at once.</summary>
    public static unsafe NcclConfig NonBlocking => new()
    {
        Size = (nuint)sizeof(NcclConfig),
        Magic = MagicNumber,
        Version = NcclLibrary.OldestVersion,
        Blocking = 0,
        ClusterSize = NotSet,
        MinBlocks = NotSet,
        MaxBlocks = NotSet,
        SplitShare = NotSet,
        TrafficClass = NotSet,
    };
}
