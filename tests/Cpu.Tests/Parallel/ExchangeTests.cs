namespace Moe.Plugins.Cpu.Tests;

/// <summary>What ranks get from each other.</summary>
public sealed class ExchangeTests
{
    public static TheoryData<int, MoeElementType> AnyGroup => new MatrixTheoryData<int, MoeElementType>([1, 2, 3, 4, 8], [MoeElementType.Float32, MoeElementType.BFloat16]);

    [Theory]
    [MemberData(nameof(AnyGroup))]
    public void Every_rank_gets_the_same_bits_and_they_are_the_sum(int ranks, MoeElementType type)
    {
        using IMoeGroup group = Groups.Create(ranks, type);
        int[] batches = [0, 1, Groups.MaxTokens, 3, 0, 5, 1];
        var bits = new byte[ranks][][];
        RankThreads.RunAll(group, member => bits[member.Rank] = [.. batches.Select((rows, call) =>
        {
            using var output = new GuardedTensor(type, rows, Groups.Width);
            member.AllReduce(new MoeReduceArguments { Partial = Groups.Part(member, rows, seed: call), Output = output.View });
            output.CheckGuards();
            Groups.Near(Groups.Sum(ranks, rows, type, seed: call), Groups.Values(output.View), Groups.Error(type));
            return output.ToArray<byte>();
        })]);

        Assert.All(bits, others => Assert.Equal(bits[0], others));
    }

    [Theory]
    [InlineData(2, MoeElementType.Float32, true, MoeElementType.Float32)]
    [InlineData(2, MoeElementType.BFloat16, true, MoeElementType.BFloat16)]
    [InlineData(3, MoeElementType.BFloat16, false, MoeElementType.Float32)]
    [InlineData(4, MoeElementType.Float32, false, MoeElementType.BFloat16)]
    public void The_residual_is_added_and_the_sum_normed(int ranks, MoeElementType type, bool hasResidual, MoeElementType weightType)
    {
        const int Rows = 5;
        const float Epsilon = 1e-5f;
        using IMoeGroup group = Groups.Create(ranks, type);
        using MoeBuffer weight = Groups.Numbers(1, weightType, seed: 99);
        using MoeBuffer residual = Groups.Numbers(Rows, type, seed: 98);
        double[] sum = Groups.Sum(ranks, Rows, type);
        double[] added = hasResidual ? [.. sum.Zip(Groups.Values(residual.View), (one, other) => one + other)] : sum;
        double[] normed = Norm(added, Groups.Values(weight.View), Epsilon);
        var bits = new (byte[] Output, byte[] Residual)[ranks];
        RankThreads.RunAll(group, member =>
        {
            using var output = new GuardedTensor(type, Rows, Groups.Width);
            using GuardedTensor stream = hasResidual ? GuardedTensor.CopyOf(residual.View, type) : new GuardedTensor(type, Rows, Groups.Width);
            member.ReduceAddNorm(new MoeReduceAddNormArguments
            {
                Partial = Groups.Part(member, Rows),
                Output = output.View,
                AddNorm = new MoeAddNorm
                {
                    NormWeight = weight.View,
                    Epsilon = Epsilon,
                    Residual = hasResidual ? stream.View : default,
                    ResidualOutput = stream.View,
                },
            });
            output.CheckGuards();
            stream.CheckGuards();
            Groups.Near(added, Groups.Values(stream.View), Groups.Error(type));
            Groups.Near(normed, Groups.Values(output.View), 2 * Groups.Error(type));
            bits[member.Rank] = (output.ToArray<byte>(), stream.ToArray<byte>());
        });

        Assert.All(bits, others =>
        {
            Assert.Equal(bits[0].Output, others.Output);
            Assert.Equal(bits[0].Residual, others.Residual);
        });
    }

    [Fact]
    public void A_sum_s_rows_are_shared_out_and_gathered_again()
    {
        const int Ranks = 3;
        const int Rows = 6;
        using IMoeGroup group = Groups.Create(Ranks);
        RankThreads.RunAll(group, member =>
        {
            using var share = new GuardedTensor(MoeElementType.Float32, Rows / Ranks, Groups.Width);
            using var whole = new GuardedTensor(MoeElementType.Float32, Rows, Groups.Width);
            member.ReduceScatter(new MoeReduceArguments { Partial = Groups.Part(member, Rows), Output = share.View });
            member.AllGather(new MoeGatherArguments { Input = share.View, Output = whole.View });
            share.CheckGuards();
            whole.CheckGuards();
            Groups.Near(Groups.Sum(Ranks, Rows, MoeElementType.Float32), Groups.Values(whole.View), 1e-5);
        });
    }

    [Fact]
    public void Two_groups_do_not_disturb_each_other()
    {
        using IMoeGroup first = Groups.Create(2);
        using IMoeGroup second = Groups.Create(3);
        Exception?[] errors = [];
        var other = new Thread(() => errors = Repeat(second));
        other.Start();
        Assert.All(Repeat(first), Assert.Null);
        other.Join();
        Assert.Equal(3, errors.Length);
        Assert.All(errors, Assert.Null);

        static Exception?[] Repeat(IMoeGroup group) => RankThreads.Run(group, member =>
        {
            using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, 2, Groups.Width);
            for (int i = 0; i < 50; i++)
            {
                member.AllReduce(new MoeReduceArguments { Partial = Groups.Part(member, 2, seed: i), Output = output.View });
                Groups.Near(Groups.Sum(member.Count, 2, MoeElementType.Float32, seed: i), Groups.Values(output.View), 1e-5);
            }
        });
    }

    private static double[] Norm(double[] rows, double[] weight, double epsilon)
    {
        double[] result = new double[rows.Length];
        for (int first = 0; first < rows.Length; first += Groups.Width)
        {
            double mean = rows.Skip(first).Take(Groups.Width).Average(value => value * value);
            for (int i = 0; i < Groups.Width; i++)
            {
                result[first + i] = rows[first + i] / Math.Sqrt(mean + epsilon) * weight[i];
            }
        }

        return result;
    }
}
