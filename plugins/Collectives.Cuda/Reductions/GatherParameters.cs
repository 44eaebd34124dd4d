using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary>As in <c>gather.cu</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GatherParameters
{
    public GroupParameters Group;
    public long InputStride;
    public long RankStride;
    public long SlotBytes;
}
