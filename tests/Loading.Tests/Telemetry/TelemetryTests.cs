using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Moe.Plugins.Tests;

/// <summary>What the host tells those who watch it, and what that costs where nobody does.</summary>
public sealed class TelemetryTests
{
    [Fact]
    public async Task Loads_selections_forwards_tokens_and_cache_hits_are_counted()
    {
        using var folder = new WorkingFolder();
        var counts = new Dictionary<string, long>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter.Name == MoeTelemetry.Name)
                {
                    self.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            // Tests run beside each other: only this plugin's counts, and the caches', which have none.
            foreach (KeyValuePair<string, object?> tag in tags)
            {
                if (tag.Key == "moe.cache" || (tag.Key == "moe.plugin" && (string?)tag.Value == "Working"))
                {
                    lock (counts)
                    {
                        counts[instrument.Name] = counts.GetValueOrDefault(instrument.Name) + value;
                    }
                }
            }
        });
        listener.Start();

        await using (MoeHost host = folder.Drop.Load())
        {
            using MoeLayer layer = WorkingFolder.CreateLayer(host);
            WorkingFolder.Run(layer);
            WorkingFolder.Run(layer);
        }

        await using MoeHost second = folder.Drop.Load();
        lock (counts)
        {
            Assert.All(
                [("moe.plugins.loads", 2), ("moe.plugins.selections", 1), ("moe.plugins.forwards", 2), ("moe.plugins.tokens", 2), ("moe.plugins.cache.hits", 1)],
                ((string Name, long Least) expected) => Assert.True(counts.GetValueOrDefault(expected.Name) >= expected.Least, expected.Name));
        }
    }

    [Fact]
    public async Task Making_a_layer_is_an_activity()
    {
        using var folder = new WorkingFolder();
        var seen = new List<string>();
        using var listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == MoeTelemetry.Name,
            Sample = static (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = activity =>
            {
                lock (seen)
                {
                    seen.Add(activity.OperationName);
                }
            },
        };
        ActivitySource.AddActivityListener(listener);
        await using MoeHost host = folder.Drop.Load();
        WorkingFolder.CreateLayer(host).Dispose();
        await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        lock (seen)
        {
            Assert.Contains("create layer", seen);
            Assert.Contains("load", seen);
            Assert.Contains("reload", seen);
        }
    }

    [Fact]
    public async Task A_forward_allocates_nothing()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(1, 5);
        using var output = new Floats(1, 5);
        var call = new MoeLayerCall { Input = input.View, Output = output.View };
        for (int i = 0; i < 200; i++)
        {
            layer.Forward(state, call);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            layer.Forward(state, call);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public async Task A_host_without_trouble_is_healthy_and_says_what_runs_what()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        HealthCheckResult health = await Check(host);
        Assert.Equal(HealthStatus.Healthy, health.Status);
        Assert.Contains("Working 0.1.0 on cpu", (string)health.Data["layer model.layers.3.mlp"], StringComparison.Ordinal);
        layer.Dispose();
        Assert.DoesNotContain("layer model.layers.3.mlp", (await Check(host)).Data.Keys);
    }

    [Fact]
    public async Task A_fallback_and_a_quarantine_degrade_it()
    {
        using var folder = new WorkingFolder();
        MoeOptions options = folder.Drop.Options;
        options.Order = ["Absent", "Working"];
        await using MoeHost host = MoeHost.Create(options);
        Assert.Equal(HealthStatus.Healthy, (await Check(host)).Status);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        HealthCheckResult health = await Check(host);
        Assert.Equal(HealthStatus.Degraded, health.Status);
        Assert.Contains("fell back", health.Description, StringComparison.Ordinal);

        folder.Drop.With("Good");
        string hash = PluginContent.Read(Path.Combine(folder.Drop.Plugins, "Good")).Hash;
        new VerdictStore(folder.Drop.Staging).Keep(new TrialVerdict("Good", "0.1.0", hash, MoeReason.Crashed, "It crashed.", "", 1, ""));
        await using MoeHost second = folder.Drop.Load();
        health = await Check(second);
        Assert.Equal(HealthStatus.Degraded, health.Status);
        Assert.Equal("Good is in quarantine", health.Description);
    }

    [Fact]
    public async Task A_lost_device_and_no_backend_at_all_are_unhealthy()
    {
        using var folder = new WorkingFolder();
        MoeOptions options = folder.Drop.Options;
        options.Plugins["Working"] = new Dictionary<string, string> { ["forward"] = "lost-later" };
        await using MoeHost host = MoeHost.Create(options);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        Assert.Throws<MoePluginException>(() => layer.Synchronize());
        HealthCheckResult health = await Check(host);
        Assert.Equal(HealthStatus.Unhealthy, health.Status);
        Assert.Contains("only a restart", health.Description, StringComparison.Ordinal);

        using var none = new DropFolder();
        await using MoeHost empty = none.Load();
        Assert.Equal(HealthStatus.Unhealthy, (await Check(empty)).Status);
    }

    private static Task<HealthCheckResult> Check(MoeHost host) =>
        new MoeHealthCheck(host).CheckHealthAsync(new HealthCheckContext(), TestContext.Current.CancellationToken);
}
