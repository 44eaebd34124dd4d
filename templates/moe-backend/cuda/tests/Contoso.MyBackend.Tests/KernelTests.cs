using Moe.Plugins;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;
using Moe.Plugins.Tests;

namespace Contoso.MyBackend.Tests;

/// <summary>The kernel without a GPU: it compiles, and on a model of a thread block it multiplies as plain loops do.</summary>
public sealed unsafe class KernelTests
{
    private const int Hidden = 96;
    private const int Intermediate = 40;
    private const int TopK = 2;

    // Tokens of each expert: none, one, a block, and more than two.
    private static readonly int[] Counts = [3, 0, 1, 8, 20];

    private const string Exports =
        """
        #include "product.cu"
        extern "C" void run(int is_first, const u16* x, const u16* weight, const float* bias, void* out, const int* sorted, const int* offsets, int experts,
                            int outputs, int inputs, int top_k)
        {
            std::vector<int4> blocks;
            for (int e = 0; e < experts; e++)
            {
                for (int first = offsets[e]; first < offsets[e + 1]; first += kBlockTokens)
                {
                    blocks.push_back({e, first, min(kBlockTokens, offsets[e + 1] - first), 0});
                }
            }

            const int count = (int)blocks.size();
            const ProductParameters p = {x, weight, bias, out, sorted, blocks.data(), &count, inputs, outputs, inputs, top_k, {1.702f, 7, 1, 0}};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(kThreads, [=] {
                    blockIdx = {b, 0};
                    is_first ? product_gate_up<Activation>(p) : product_down(p);
                });
            }
        }
        """;

    private static int Pairs => Counts.Sum();

    [Fact]
    public void The_first_product_is_the_activation_of_gate_and_up()
    {
        float[] x = Numbers(Pairs / TopK * Hidden, seed: 1);
        float[] weight = Numbers(Counts.Length * 2 * Intermediate * Hidden, seed: 2);
        float[] bias = Numbers(Counts.Length * 2 * Intermediate, seed: 3);
        ushort[] act = new ushort[Pairs * Intermediate];
        fixed (ushort* output = act)
        {
            Run(isFirst: true, x, weight, bias, output, 2 * Intermediate, Hidden);
        }

        for (int sorted = 0; sorted < Pairs; sorted++)
        {
            for (int i = 0; i < Intermediate; i++)
            {
                double gate = Math.Min(7, Dot(x, Sorted(sorted) / TopK, weight, bias, (ExpertOf(sorted) * 2 * Intermediate) + (2 * i), Hidden));
                double up = Math.Clamp(Dot(x, Sorted(sorted) / TopK, weight, bias, (ExpertOf(sorted) * 2 * Intermediate) + (2 * i) + 1, Hidden), -7, 7);
                double expected = (up + 1) * gate / (1 + Math.Exp(-1.702 * gate));
                Assert.Equal(expected, MoeBFloat16.ToSingle(act[(sorted * Intermediate) + i]), (Math.Abs(expected) / 256) + 1e-4);
            }
        }
    }

    [Fact]
    public void The_second_product_goes_back_to_the_pairs_order()
    {
        float[] act = Numbers(Pairs * Intermediate, seed: 4);
        float[] weight = Numbers(Counts.Length * Hidden * Intermediate, seed: 5);
        float[] partial = new float[Pairs * Hidden];
        fixed (float* output = partial)
        {
            Run(isFirst: false, act, weight, [], output, Hidden, Intermediate);
        }

        for (int sorted = 0; sorted < Pairs; sorted++)
        {
            for (int i = 0; i < Hidden; i++)
            {
                double expected = Dot(act, sorted, weight, [], (ExpertOf(sorted) * Hidden) + i, Intermediate);
                Assert.Equal(expected, partial[(Sorted(sorted) * Hidden) + i], 1e-4);
            }
        }
    }

    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_90a")]
    public void It_compiles_without_a_spill(string architecture)
    {
        var compiler = new KernelCompiler(new KernelCompilerOptions());
        Assert.SkipUnless(compiler.TryLoadNvrtc(out string? reason), reason ?? "");
        var unit = new KernelUnit("product.cu", "product_gate_up<Activation>", "product_gate_up<GatedActivation>", "product_gate_up<ReluSquared>");

        IReadOnlyList<MoeKernelReport> reports = KernelCatalog.Compile(
            _ => [unit], architecture, compiler, typeof(Plugin).Assembly, progress: null, TestContext.Current.CancellationToken);

        Assert.Empty(reports.Where(report => report.Error is not null).Select(report => report.Error));
        Assert.Equal(4, reports.Count);
        Assert.All(reports, report => Assert.Equal(0, report.SpillBytes));
    }

    private static void Run(bool isFirst, float[] x, float[] weight, float[] bias, void* output, int outputs, int inputs)
    {
        ushort[] roundedX = [.. x.Select(MoeBFloat16.FromSingle)];
        ushort[] roundedWeight = [.. weight.Select(MoeBFloat16.FromSingle)];
        int[] sorted = [.. Enumerable.Range(0, Pairs).Select(Sorted)];
        int[] offsets = [.. Enumerable.Range(0, Counts.Length + 1).Select(expert => Counts.Take(expert).Sum())];
        using HostLibrary library = HostLibrary.CompileBlock("product.cu", Exports);
        var run = (delegate* unmanaged<int, ushort*, ushort*, float*, void*, int*, int*, int, int, int, int, void>)library.Export("run");
        fixed (ushort* xs = roundedX, weights = roundedWeight)
        {
            fixed (float* biases = bias)
            {
                fixed (int* order = sorted, begins = offsets)
                {
                    run(isFirst ? 1 : 0, xs, weights, bias.Length == 0 ? null : biases, output, order, begins, Counts.Length, outputs, inputs, TopK);
                }
            }
        }
    }

    // Any order that is not the sorted one: 7 has no common divisor with the pairs.
    private static int Sorted(int position) => position * 7 % Pairs;

    private static int ExpertOf(int position)
    {
        int expert = 0;
        for (int end = Counts[0]; position >= end; end += Counts[expert])
        {
            expert++;
        }

        return expert;
    }

    private static double Dot(float[] x, int xRow, float[] weight, float[] bias, int weightRow, int inputs)
    {
        double sum = bias.Length == 0 ? 0 : bias[weightRow];
        for (int i = 0; i < inputs; i++)
        {
            sum += (double)x[(xRow * inputs) + i] * weight[(weightRow * inputs) + i];
        }

        return sum;
    }

    // Numbers that BF16 has.
    private static float[] Numbers(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => MoeBFloat16.ToSingle(MoeBFloat16.FromSingle(random.NextSingle() - 0.5f)))];
    }
}
