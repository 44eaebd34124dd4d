using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>ClusterRouterParameters</c> of <c>router_cluster.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ClusterRouterParameters
{
    public RouterParameters Router;
    public int TileBits;
    public int PartBits;
}
