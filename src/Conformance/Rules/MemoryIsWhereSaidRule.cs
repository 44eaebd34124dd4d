namespace Moe.Plugins.Conformance;

internal sealed class MemoryIsWhereSaidRule() : ConformanceRule(
    "memory-is-where-said", "A layer's memory is on the device that the probe named, before its weights are loaded and after: hosts refuse a backend whose memory is elsewhere.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            var request = new MoeProbeRequest { Shape = shape, Device = run.Subject.Device };
            MoeDevice said = run.Subject.Backend.Probe(request).Device;
            using (IMoeQuantMethod method = run.Subject.Backend.CreateQuantMethod(request with { Device = said }))
            {
                Compare(run, said, method.Memory, "before its weights are loaded");
            }

            using LayerUnderTest layer = run.Make(shape);
            Compare(run, layer.Device, layer.Method.Memory, "with its weights");
        }
    }

    private static void Compare(RuleRun run, MoeDevice said, IMoeMemory? memory, string when)
    {
        if (memory?.Device != said)
        {
            run.Fail($"memory on {said}, as the probe said, {when}", memory is null ? "null" : $"memory on {memory.Device}");
        }
    }
}
