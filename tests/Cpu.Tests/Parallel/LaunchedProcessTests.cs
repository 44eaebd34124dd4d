using System.Diagnostics;
using System.Globalization;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Ranks that are real processes: started as launchers start them, and killed. <c>MOE_GROUP_KILLS</c> asks for more deaths.</summary>
public sealed class LaunchedProcessTests
{
    private const int Tokens = 6;
    private const int Ranks = 4;

    // Cut by tensor over 2 and by expert over 2.
    private static readonly MoeLayerShape Shape = new() { HiddenSize = 96, IntermediateSize = 160, ExpertCount = 6, TopK = 2 };

    [Theory]
    [InlineData(MoeLauncher.Torchrun)]
    [InlineData(MoeLauncher.Slurm)]
    [InlineData(MoeLauncher.OpenMpi)]
    public void Launched_ranks_have_parts_read_their_bytes_only_and_sum_up_to_the_layer(MoeLauncher launcher)
    {
        if (OwnProcess.Told is not null)
        {
            if (OwnProcess.Told == $"{launcher}")
            {
                BeLaunched(launcher);
            }

            return;
        }

        int port = FreePort.Find();
        Process[] processes = [.. Enumerable.Range(0, Ranks).Select(rank => OwnProcess.Start(
            nameof(Launched_ranks_have_parts_read_their_bytes_only_and_sum_up_to_the_layer), $"{launcher}", Variables(launcher, rank, port)))];
        string[] outputs = [.. processes.Select(process => process.StandardOutput.ReadToEnd())];
        for (int rank = 0; rank < Ranks; rank++)
        {
            processes[rank].WaitForExit();
            Assert.True(processes[rank].ExitCode == 0, outputs[rank]);
            processes[rank].Dispose();
        }
    }

    [Fact]
    public void A_rank_that_is_killed_ends_its_group_and_another_takes_its_place()
    {
        if (OwnProcess.Told is { } told)
        {
            // Its layers have nothing to do with the group's end.
            using var weights = new RandomLayer(Shape, seed: 3);
            using MoeBuffer input = RandomInput.Create(Tokens, Shape.HiddenSize, seed: 4);
            using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.BFloat16, Tokens, Shape.HiddenSize);
            using MoeLayer layer = CpuHost.Shared.CreateLayer(
                new MoeLayerRequest { Shape = Shape, Options = new MoeLayerOptions { MaxTokens = Tokens } },
                weights.Source,
                cancellationToken: TestContext.Current.CancellationToken);
            using MoeForwardState state = layer.CreateState();
            float[] expected = Forward();
            KilledRanks.BeRank(
                told,
                rendezvous => CpuHost.Shared.CreateGroup(new MoeGroupRequest
                {
                    Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, rendezvous.Count)],
                    MaxTokens = GroupLoadTests.MaxTokens,
                    Width = GroupLoadTests.Width,
                    ElementType = MoeElementType.Float32,
                    Timeout = TimeSpan.FromSeconds(20),
                    Rendezvous = rendezvous,
                }),
                () => Assert.Equal(expected, Forward()));
            return;

            float[] Forward()
            {
                layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
                return output.ToSingles();
            }
        }

        KilledRanks.Kill(nameof(A_rank_that_is_killed_ends_its_group_and_another_takes_its_place), ranks: 3, GroupLoadTests.Kills, seed: 1);
    }

    private static IReadOnlyList<(string Name, string Value)> Variables(MoeLauncher launcher, int rank, int port)
    {
        (string, string)[] ours = [("MOE_TEST_PORT", $"{port}")];
        return launcher switch
        {
            MoeLauncher.Torchrun =>
            [
                .. ours, ("RANK", $"{rank}"), ("WORLD_SIZE", $"{Ranks}"), ("LOCAL_RANK", $"{rank}"), ("LOCAL_WORLD_SIZE", $"{Ranks}"),
                ("MASTER_ADDR", "localhost"), ("MASTER_PORT", $"{port - 1}"), ("TORCHELASTIC_RUN_ID", "test"),
            ],
            MoeLauncher.Slurm =>
            [
                .. ours, ("SLURM_PROCID", $"{rank}"), ("SLURM_NTASKS", $"{Ranks}"), ("SLURM_LOCALID", $"{rank}"), ("SLURM_STEP_NODELIST", "localhost"),
                ("SLURM_JOB_ID", "1"), ("SLURM_STEP_ID", "0"),
            ],
            _ =>
            [
                .. ours, ("OMPI_COMM_WORLD_RANK", $"{rank}"), ("OMPI_COMM_WORLD_SIZE", $"{Ranks}"), ("OMPI_COMM_WORLD_LOCAL_RANK", $"{rank}"),
                ("OMPI_COMM_WORLD_LOCAL_SIZE", $"{Ranks}"),
            ],
        };
    }

    private static void BeLaunched(MoeLauncher launcher)
    {
        var options = new MoeOptions { Backend = "Cpu" };
        options.Parallel.Tensor = 2;
        options.Parallel.Expert = 2;
        options.Parallel.Launcher = launcher;
        options.Parallel.Port = launcher == MoeLauncher.Torchrun ? null : int.Parse(Environment.GetEnvironmentVariable("MOE_TEST_PORT")!, CultureInfo.InvariantCulture);
        using MoeHost host = MoeHost.Create(options);
        using var weights = new RandomLayer(Shape, seed: 3);
        using MoeBuffer input = RandomInput.Create(Tokens, Shape.HiddenSize, seed: 4);
        var request = new MoeLayerRequest { Shape = Shape, Options = new MoeLayerOptions { MaxTokens = Tokens, OutputType = MoeElementType.Float32 } };
        using IMoeGroup group = host.CreateGroupFor(request);
        IMoeCommunicator member = group.Members.Single();
        (MoeWeightSource counted, Func<long> read) = CountingTensor.Count(weights.Source);
        using MoeLayer layer = host.CreateLayer(request, counted);

        // All have the router; of half of the experts, those that share it 96 and 64 of 160 neurons.
        MoePart part = host.Ranks.PartOf(member.Rank);
        long router = weights.Source.RouterWeight!.ByteCount + (weights.Source.RouterBias?.ByteCount ?? 0);
        double share = (read() - router) / (double)(weights.Source.ByteCount - router);
        Assert.Equal(weights.Source.Slice(Shape, part).ByteCount, read());
        Assert.Equal((part.TensorRank == 0 ? 96 : 64) / 320.0, share, 0.01);
        Assert.Equal(part, layer.Config.Shape.Part);
        using MoeForwardState state = layer.CreateState(member);
        using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, Shape.HiddenSize);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
        Assert.True(TensorDifference.Measure(output.View, MoeOracle.Compute(Shape, weights.Source, input.View)).RelativeError < Tolerance.Of(MoeElementType.Float32));

        // Beside it another group, met at the same port: of layers to which each rank brings tokens of its own.
        MoeLayerRequest dispatching = request with { Options = request.Options with { DispatchTokens = true } };
        using IMoeGroup larger = host.CreateGroupFor(dispatching);
        Assert.Equal(Ranks * Tokens, larger.Members.Single().Request.MaxTokens);
        using MoeLayer dispatched = host.CreateLayer(dispatching, weights.Source);
        using MoeForwardState other = dispatched.CreateState(larger.Members.Single());
        using MoeBuffer own = RandomInput.Create(Tokens, Shape.HiddenSize, seed: 5 + member.Rank);
        dispatched.Forward(other, new MoeLayerCall { Input = own.View, Output = output.View });
        Assert.True(TensorDifference.Measure(output.View, MoeOracle.Compute(Shape, weights.Source, own.View)).RelativeError < Tolerance.Of(MoeElementType.Float32));
    }
}
