using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>SplitRouterParameters</c> of <c>router.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SplitRouterParameters
{
    public RouterParameters Router;
    public nint PartialLogits;
    public nint Tickets;
    public int ExpertWarps;
    public int Reserved;
}
