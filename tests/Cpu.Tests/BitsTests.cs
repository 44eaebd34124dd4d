using System.Security.Cryptography;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Products with digits are exact within a block: the bits of a few tokens are the same with all instructions that have them.</summary>
public sealed class BitsTests
{
    /// <summary>Names the file that a process with fewer instructions leaves its bits in.</summary>
    internal const string File = "MOE_CPU_TESTS_BITS";

    internal static string Compute()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

        // Three digits are for few tokens alone on some processors; with 40 an expert has more than a call takes.
        foreach ((MoeElementType type, int tokens) in new[] { (MoeElementType.Float32, 3), (MoeElementType.BFloat16, 3), (MoeElementType.BFloat16, 40) })
        {
            var shape = new MoeLayerShape { HiddenSize = 192, IntermediateSize = 160, ExpertCount = 8, TopK = 2 };
            using var random = new RandomLayer(shape, seed: 11);
            using var layer = new CpuLayer(shape, random.Source, MoeElementType.BFloat16, type);
            using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: 12);
            using CpuRun run = layer.Run(input.View);
            hash.AppendData(run.Bits());
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    [Fact]
    public void A_token_has_the_same_bits_in_any_batch()
    {
        Assert.SkipWhen(VnniKernel512<Digits.Fine>.Instance is null, "with these instructions many tokens are multiplied as floats");
        const int Tokens = 40;
        var shape = new MoeLayerShape { HiddenSize = 192, IntermediateSize = 160, ExpertCount = 8, TopK = 2 };
        using var random = new RandomLayer(shape, seed: 11);
        using var layer = new CpuLayer(shape, random.Source, MoeElementType.BFloat16, MoeElementType.Float32);
        using MoeBuffer input = RandomInput.Create(Tokens, shape.HiddenSize, seed: 12);
        using CpuRun all = layer.Run(input.View);
        using MoeBuffer firstInput = RandomInput.Create(1, shape.HiddenSize, seed: 12);
        using CpuRun first = layer.Run(firstInput.View);
        Assert.Equal(first.Bits(), all.Bits()[..first.Bits().Length]);
    }

    [Fact]
    public void A_process_leaves_its_bits()
    {
        if (Environment.GetEnvironmentVariable(File) is string file)
        {
            System.IO.File.WriteAllText(file, Compute());
        }

        Assert.Equal(Compute(), Compute());
    }
}
