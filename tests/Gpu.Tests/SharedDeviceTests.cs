using System.Diagnostics;
using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Tests;

/// <summary>Hosts, backends and processes that use one device at once, and one that is hidden.</summary>
[Collection(Alone.Name)]
public sealed class SharedDeviceTests
{
    private const int Rounds = 300;

    private static readonly string[] Backends = ["Bf16", "Mxfp4.Marlin", "Mxfp4.Sm100"];

    private static readonly MoeLayerShape Shape = new() { HiddenSize = 1440, IntermediateSize = 1024, ExpertCount = 16, TopK = 4 };

    [Fact]
    public async Task Two_hosts_with_every_backend_run_at_once_and_keep_their_bits()
    {
        using CudaContext context = Gpu.Require();
        using var weights = new RandomLayer(Shape, seed: 2);
        MoeHost[] hosts = [Host(), Host()];
        DeviceLayer[] layers = [.. from host in hosts from backend in Backends select new DeviceLayer(host, weights, backend)];
        float[][] alone = [.. layers.Select(static layer => layer.Run())];

        // The same backend gives the same bits in either host.
        Assert.Equal(alone[..Backends.Length], alone[Backends.Length..]);
        using var start = new Barrier(layers.Length);
        await Task.WhenAll(layers.Select((layer, number) => Task.Factory.StartNew(
            () =>
            {
                start.SignalAndWait();
                for (int round = 0; round < Rounds; round++)
                {
                    layer.Enqueue();
                    if (round % 10 == 0)
                    {
                        Assert.Equal(alone[number], layer.Run());
                    }
                }

                Assert.Equal(alone[number], layer.Run());
            },
            TestContext.Current.CancellationToken,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default)));
        Array.ForEach(layers, static layer => layer.Dispose());
        Array.ForEach(hosts, static host => host.Dispose());
    }

    [Theory]
    [InlineData("Mxfp4.Marlin")]
    [InlineData("Bf16")]
    public async Task A_process_that_is_killed_in_a_forward_disturbs_no_other_and_leaves_its_memory(string backend)
    {
        using CudaContext context = Gpu.Require();
        using var weights = new RandomLayer(Shape, seed: 2);
        using MoeHost host = Host();
        using var layer = new DeviceLayer(host, weights, backend);
        if (OwnProcess.Told is { } told)
        {
            // The inner process computes until it is killed. It is told its backend, and where to say that it has begun.
            string[] parts = told.Split('\n');
            for (int round = 0; parts[0] == backend; round++)
            {
                layer.Enqueue();
                if (round == 100)
                {
                    await File.WriteAllTextAsync(parts[1], "", TestContext.Current.CancellationToken);
                }
            }

            return;
        }

        float[] right = layer.Run();
        long free = context.GetFreeMemory();
        for (int kill = 0; kill < 3; kill++)
        {
            string mark = Path.Combine(Path.GetTempPath(), $"moe-gpu-{Guid.NewGuid():N}");
            using Process process = OwnProcess.Start(nameof(A_process_that_is_killed_in_a_forward_disturbs_no_other_and_leaves_its_memory), $"{backend}\n{mark}");
            Assert.True(RunUntil(() => File.Exists(mark) || process.HasExited, layer, right));
            Assert.False(process.HasExited);
            process.Kill();
            File.Delete(mark);
            Assert.True(RunUntil(() => process.HasExited && free - context.GetFreeMemory() < 64 << 20, layer, right), "The memory of the process is not free again.");
        }
    }

    /// <summary>On a machine with devices, none of which the process sees.</summary>
    [Theory]
    [InlineData("-1")]
    [InlineData("99")]
    public async Task A_device_that_is_hidden_is_said_to_be_hidden_and_the_processor_runs(string visible)
    {
        if (OwnProcess.Told is null)
        {
            Gpu.Require().Dispose();
            await OwnProcess.RunAsync(nameof(A_device_that_is_hidden_is_said_to_be_hidden_and_the_processor_runs), "", ("CUDA_VISIBLE_DEVICES", visible));
            return;
        }

        visible = Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES")!;
        using MoeHost host = MoeHost.Create(new MoeOptions());
        using var weights = new RandomLayer(Shape, seed: 2);
        using var layer = new DeviceLayer(host, weights);
        Assert.Equal(MoeDevice.Cpu, layer.Layer.Device);
        foreach (string backend in Backends)
        {
            MoeCandidate candidate = host.Selections[0].Candidates.Single(candidate => candidate.Id == backend);
            Assert.Equal(MoeReason.NoDevice, candidate.Reason);
            Assert.Contains($"CUDA_VISIBLE_DEVICES is '{visible}', which hides all others", candidate.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_device_that_is_not_there_is_named_with_those_that_are()
    {
        Gpu.Require().Dispose();
        using MoeHost host = MoeHost.Create(new MoeOptions { Device = "cuda:77" });
        MoeSelectionReport report = host.Explain(new MoeLayerRequest { Shape = Shape });
        Assert.All(Backends, backend => Assert.Contains(
            "Device 77 was asked for, and there", report.Candidates.Single(candidate => candidate.Id == backend).Message, StringComparison.Ordinal));
    }

    private static MoeHost Host()
    {
        var options = new MoeOptions();
        foreach (string backend in Backends)
        {
            options.Layers[backend] = backend;
        }

        return MoeHost.Create(options);
    }

    private static bool RunUntil(Func<bool> isOver, DeviceLayer layer, float[] right)
    {
        long start = Stopwatch.GetTimestamp();
        while (!isOver())
        {
            Assert.Equal(right, layer.Run());
            if (Stopwatch.GetElapsedTime(start) > TimeSpan.FromMinutes(1))
            {
                return false;
            }
        }

        return true;
    }
}
