using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary><c>RouterParameters</c> of <c>router.cuh</c>, which says what each field is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct RouterParameters
{
    public nint X;
    public nint Weight;
    public nint Bias;
    public nint Ids;
    public nint Weights;
    public SortTarget Target;
    public long XStride;
    public int Tokens;
    public int Hidden;
    public int Experts;
    public int TopK;
    public int Terms;
    public int Scoring;
    public int Sort;
    public int Reserved;
}
