namespace Moe.Plugins.Conformance;

internal sealed class Float32ActivationsRule() : ConformanceRule(
    "float32-activations", "Float32 activations and results are taken where the probe says so.")
{
    internal override void Check(RuleRun run)
    {
        bool applies = false;
        foreach (MoeLayerShape shape in run.Shapes())
        {
            var options = new MoeLayerOptions { MaxTokens = KitShapes.MaxTokens, InputType = MoeElementType.Float32, OutputType = MoeElementType.Float32 };
            MoeProbeResult answer = run.Subject.Backend.Probe(new MoeProbeRequest
            {
                Shape = shape,
                Device = run.Subject.Device,
                InputType = options.InputType,
                OutputType = options.OutputType,
            });
            if (!answer.IsSupported)
            {
                continue;
            }

            applies = true;
            using LayerUnderTest layer = run.Make(shape, options);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(9, run.Subject.Seed);
            using ForwardResult result = run.Forward(layer, workspace, input);
            run.RequireNumerics(layer, input, result, " with float32 activations");
        }

        if (!applies && run.Reason.Length == 0)
        {
            run.NotSupported("the probe refuses float32 activations");
        }
    }
}
