using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>RouterParameters</c> of <c>router.cu</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RouterParameters
{
    public nint X;
    public nint Weight;
    public nint Bias;
    public nint PartialLogits;
    public nint Ids;
    public nint Weights;
    public nint Tickets;
    public SortTarget Target;
    public long XStride;
    public int Tokens;
    public int Hidden;
    public int Experts;
    public int TopK;
    public int Terms;
    public int ExpertWarps;
    public int Scoring;
    public int Sort;
}
