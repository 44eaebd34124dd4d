using System.Runtime.CompilerServices;

namespace Moe.Plugins.Conformance;

/// <summary>
/// A later minor version of the contract may add values to an enum; a backend that was built before them must not take one for another.
/// </summary>
internal sealed class UnknownIsRefusedRule() : ConformanceRule(
    "unknown-is-refused", "What a backend does not know it refuses, with a reason: a weight format, a router, a place of weights or an activation that no version of the contract has yet.")
{
    private const int Unknown = 99;

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape known in run.Shapes())
        {
            Ask(run, known, known with { WeightFormat = (MoeWeightFormat)Unknown }, "an unknown weight format");
            Ask(run, known, known with { Router = known.Router with { Score = (MoeRouterScore)Unknown } }, "an unknown router score");
            Ask(run, known, known with { Router = known.Router with { Weights = (MoeRouterWeights)Unknown } }, "unknown router weights");
            Ask(run, known, known with { Router = known.Router with { GroupRule = (MoeGroupRule)Unknown } }, "an unknown rule of groups");
            Ask(run, known, known with { Router = known.Router with { Choice = (MoeRouterChoice)Unknown } }, "an unknown choice of experts");
            Ask(run, known, known with { Router = known.Router with { WeightOn = (MoeWeightOn)Unknown } }, "an unknown place of the weights");
            Ask(run, known, known with { Router = known.Router with { LogitPrecision = (MoeElementType)Unknown } }, "an unknown precision of logits");
            Ask(run, known, known with { Activation = UnknownActivation() }, "an unknown activation");
            Ask(run, known, known with { Activation = UnknownFunction() }, "an unknown function of gates");
            if (known.Latent is { } latent)
            {
                Ask(run, known, known with { Latent = latent with { WeightFormat = (MoeWeightFormat)Unknown } }, "an unknown format of latent projections");
            }

            if (known.Shared is { } shared)
            {
                Ask(run, known, known with { Shared = shared with { WeightFormat = (MoeWeightFormat)Unknown } }, "an unknown format of shared experts");
                Ask(run, known, known with { Shared = shared with { Activation = UnknownActivation() } }, "an unknown activation of shared experts");
                Ask(run, known, known with { Shared = shared with { Activation = UnknownFunction() } }, "an unknown function of shared experts' gates");
            }
        }
    }

    // This version of the contract makes no such values; a later one may, and then they reach backends that were built with this one.
    private static MoeActivation UnknownActivation() => Make((MoeActivationKind)Unknown);

    private static MoeActivation UnknownFunction()
    {
        MoeActivation unknown = Make(MoeActivationKind.Glu);
        SetFunction(unknown, (MoeGluFunction)Unknown);
        return unknown;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern MoeActivation Make(MoeActivationKind kind);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "set_Function")]
    private static extern void SetFunction(MoeActivation activation, MoeGluFunction function);

    private static void Ask(RuleRun run, MoeLayerShape known, MoeLayerShape unknown, string what)
    {
        string expected = $"a refusal of {what}, as of {KitShapes.Describe(known)} with it";
        try
        {
            MoeProbeResult answer = run.Subject.Backend.Probe(new MoeProbeRequest { Shape = unknown, Device = run.Subject.Device });
            if (answer.IsSupported)
            {
                run.Fail(expected, $"support on {answer.Device}");
            }
        }
        catch (Exception exception)
        {
            run.Fail(expected, ExceptionText.NameAndMessage(exception));
        }
    }
}
