using System.Text.RegularExpressions;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100.Tests;

public sealed partial class NativeCompilationTests
{
    public static TheoryData<int, int> Tiles()
    {
        var data = new TheoryData<int, int>();
        foreach (NativeTile tile in NativeTile.All)
        {
            data.Add(tile.Tokens, 0);
            data.Add(tile.Tokens, 3);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Tiles))]
    public void Products_compile_without_a_spill(int tokens, int minor)
    {
        var tile = new NativeTile(tokens);
        KernelImage image = CompiledUnit.Compile(tile.Unit, 10, minor);

        string[] entries = [image.GetLoweredName(tile.FirstEntry), image.GetLoweredName(tile.SecondEntry)];
        Assert.Equal(entries.Order(StringComparer.Ordinal), image.Reports.Select(report => report.Name).Order(StringComparer.Ordinal));
        Assert.All(image.Reports, report => Assert.Equal((0, 0), (report.SpillStoreBytes, report.StackBytes)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    public void The_loader_compiles_without_a_spill(int minor) =>
        Assert.All(CompiledUnit.Compile(NativeLoader.Unit, 10, minor).Reports, report => Assert.Equal(0, report.SpillStoreBytes));

    /// <summary>
    /// Block-scaled products have the scales' tensor memory for a last operand; scale copies, unpacked and gathered tiles, and loads of
    /// the accumulators are there too.
    /// </summary>
    [Theory]
    [MemberData(nameof(Tiles))]
    public void Machine_code_has_the_block_scaled_instructions(int tokens, int minor)
    {
        string code = Disassembler.Run(CompiledUnit.Compile(new NativeTile(tokens).Unit, 10, minor).Cubin);

        // Four steps of 32 inputs: twice for gates and ups, once for the second product.
        Assert.Equal(12, BlockScaledProduct().Count(code));
        Assert.Contains("UTCCP.T.S.4x32dp128bit", code, StringComparison.Ordinal);
        Assert.Contains("UTMALDG.2D.GATHER4", code, StringComparison.Ordinal);
        Assert.Contains("UTMALDG.3D", code, StringComparison.Ordinal);
        Assert.Contains("LDTM.x16", code, StringComparison.Ordinal);
    }

    /// <summary>The pattern of the test before tells a block-scaled product from a plain one.</summary>
    [Theory]
    [InlineData("kind::f8f6f4 [%0], %1, %1, %2, 1;", 0)]
    [InlineData("kind::mxf8f6f4.block_scale [%0], %1, %1, %2, [%0], [%0], 1;", 1)]
    public void Plain_products_do_not_match(string instruction, int expected)
    {
        bool isLoaded = Nvrtc.TryLoad(libraryPath: null, out string? reason);
        Assert.SkipUnless(isLoaded, $"needs NVRTC: {reason}");
        string text =
            $$"""
            extern "C" __global__ void product(unsigned d, unsigned long long a, unsigned i)
            {
                asm volatile("tcgen05.mma.cta_group::1.{{instruction}}" :: "r"(d), "l"(a), "r"(i));
            }
            """;
        KernelImage image = new KernelCompiler().Compile(KernelSource.FromText("product.cu", text), new CudaArchitecture(10, 0));

        Assert.Equal(expected, BlockScaledProduct().Count(Disassembler.Run(image.Cubin)));
    }

    [GeneratedRegex(@"UTCQMMA gdesc\[\w+\], gdesc\[\w+\], tmem\[[^\]]+\], tmem\[[^\]]+\], idesc\[\w+\], tmem\[[^\]]+\]")]
    private static partial Regex BlockScaledProduct();
}
