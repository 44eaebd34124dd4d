namespace Moe.Plugins.Conformance;

internal sealed class ProbeAnswersRule() : ConformanceRule(
    "probe-answers", "A probe does not throw, whatever layer and device it is asked about, gives the same answer again, and a supported one names its device.")
{
    private const int NoSuchOrdinal = 977;

    internal override void Check(RuleRun run)
    {
        MoeLayerShape[] odd =
        [
            .. KitShapes.All,
            MoeLayerShape.GptOss20B,
            MoeLayerShape.GptOss120B with { WeightFormat = MoeWeightFormat.BFloat16 },
            new() { HiddenSize = 7, IntermediateSize = 3, ExpertCount = 3, TopK = 2, WeightFormat = MoeWeightFormat.BFloat16 },
            new() { HiddenSize = 65536, IntermediateSize = 32, ExpertCount = 4096, TopK = 64 },
        ];
        foreach (MoeLayerShape shape in odd)
        {
            foreach (MoeDevice? device in new MoeDevice?[] { null, MoeDevice.Cpu, MoeDevice.Cuda(0), MoeDevice.Cuda(NoSuchOrdinal) })
            {
                Ask(run, new MoeProbeRequest { Shape = shape, Device = device });
            }
        }
    }

    private static void Ask(RuleRun run, MoeProbeRequest request)
    {
        string asked = $"an answer about {KitShapes.Describe(request.Shape)} on {request.Device?.ToString() ?? "any device"}";
        MoeProbeResult? answer;
        MoeProbeResult? again;
        try
        {
            answer = run.Subject.Backend.Probe(request);
            again = run.Subject.Backend.Probe(request);
        }
        catch (Exception exception)
        {
            run.Fail(asked, ExceptionText.NameAndMessage(exception));
            return;
        }

        if (answer is null || again is null)
        {
            run.Fail(asked, "null");
        }
        else if (answer != again)
        {
            run.Fail($"{asked} that stays the same", $"{answer}, then {again}");
        }
        else if (answer.IsSupported && request.Device is MoeDevice wanted && wanted != answer.Device)
        {
            run.Fail($"a refusal, or the device {wanted}", $"support on {answer.Device}");
        }
        else if (request.Device == MoeDevice.Cuda(NoSuchOrdinal) && answer.IsSupported)
        {
            run.Fail("a refusal of a device that does not exist", $"support on {answer.Device}");
        }
    }
}
