using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>
/// A panel in two vectors of 16 rows, with AVX-512's instructions that multiply and add at once. .NET 10 has them only for 256 bits, so the kernel is
/// machine code that is written when it is first needed.
/// </summary>
internal sealed unsafe class VnniKernel512<TDigits> : DigitKernel.Of<TDigits>
    where TDigits : struct, IDigits
{
    private static readonly Lazy<VnniKernel512<TDigits>?> s_instance = new(Write);

    private readonly ExecutableMemory _code;
    private readonly int[] _functions;

    private VnniKernel512(ExecutableMemory code, int[] functions)
    {
        _code = code;
        _functions = functions;
    }

    /// <summary>The kernel; null where the processor lacks these instructions or the system allows no code to be written.</summary>
    public static VnniKernel512<TDigits>? Instance => s_instance.Value;

    public override int MaxTokens => _functions.Length;

    public override bool IsAhead => true;

    public override string Name => "AVX-512 with VNNI";

    public override void Multiply(byte* codes, byte* scales, int blocks, byte* digits, int tokens, float* sums)
    {
        new Span<float>(sums, tokens * PanelKernel.Rows).Clear();
        var function = (delegate* unmanaged<byte*, byte*, long, byte*, float*, byte*, void>)(_code.Address + _functions[tokens - 1]);
        function(codes, scales, blocks, digits, sums, _code.Address);
    }

    protected override DigitLayout Layout(int tokens) => VnniCode.IsWhole(TDigits.Count, tokens) ? DigitLayout.Whole : DigitLayout.Fours;

    private static VnniKernel512<TDigits>? Write()
    {
        // .NET asks the processor for VNNI together with VBMI2, and its switches hide them together.
        const int VnniBit = 11;
        if (!Avx512Vbmi2.IsSupported || !Avx512Vbmi.IsSupported || (X86Base.CpuId(7, 0).Ecx >> VnniBit & 1) == 0)
        {
            return null;
        }

        var assembler = new Assembler(VnniCode.Constants);
        int[] functions = new int[VnniCode.MaxTokens(TDigits.Count)];
        for (int i = 0; i < functions.Length; i++)
        {
            assembler.Align();
            functions[i] = assembler.Position;
            VnniCode.Write<TDigits>(assembler, i + 1);
        }

        return ExecutableMemory.Create(assembler.ToArray()) is { } code ? new VnniKernel512<TDigits>(code, functions) : null;
    }
}
