using Moe.Plugins.Tests;

namespace Moe.Plugins.HostProgram;

/// <summary>A host that serves a layer while another plugin does what it likes.</summary>
internal static class Serving
{
    private const int Rounds = 50;

    /// <param name="options">The host's.</param>
    /// <param name="changed">A file of the plugin Working that is changed before it is reloaded, so that it is copied and tried anew; null for none.</param>
    public static async Task<int> RunAsync(MoeOptions options, string? changed)
    {
        options.Layers["served"] = "Working";
        options.Layers["bad"] = "Misbehaving";
        TextWriter output = Console.Out;
        int right = 0;
        await using (MoeHost host = MoeHost.Create(options))
        {
            using MoeLayer served = host.CreateLayer(TinyLayer.Request with { Name = "served" }, TinyLayer.Weights);
            right += Serve(served);
            try
            {
                using MoeLayer bad = host.CreateLayer(TinyLayer.Request with { Name = "bad" }, TinyLayer.Weights);
                Run(bad);
            }
            catch (MoeException exception)
            {
                await output.WriteLineAsync(exception.Message);
            }

            right += Serve(served);
            if (changed is not null)
            {
                await File.WriteAllTextAsync(changed, "changed");
            }

            MoeReloadReport report = await host.ReloadAsync("Working");
            await output.WriteLineAsync($"{report.Outcome}: {report.Sentence}");
            using (MoeLayer another = host.CreateLayer(TinyLayer.Request with { Name = "served" }, TinyLayer.Weights))
            {
                right += Serve(another);
            }

            right += Serve(served);
        }

        await output.WriteLineAsync($"served {right} of {4 * Rounds}");
        return 0;
    }

    private static int Serve(MoeLayer layer) => Enumerable.Range(0, Rounds).Count(_ => Run(layer) == 1);

    private static float Run(MoeLayer layer)
    {
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(1, 5);
        using var output = new Floats(1, 5);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
        return output[0, 4];
    }
}
