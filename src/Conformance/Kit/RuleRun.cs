using System.Globalization;

namespace Moe.Plugins.Conformance;

/// <summary>One check of one rule: what it may use, and what it has found.</summary>
internal sealed class RuleRun(ConformanceRule rule, ConformanceSubject subject, CancellationToken cancellationToken)
{
    /// <summary>Enough to see a pattern, few enough to read.</summary>
    private const int MostFailures = 5;

    private readonly Lock _lock = new();
    private readonly List<ConformanceFailure> _failures = [];
    private bool _hasEnded;
    private MoeLayerShape? _shape;
    private int _tokens = -1;
    private string? _where;

    public ConformanceSubject Subject { get; } = subject;

    /// <summary>Who is checked, and for what: the beginning of a sentence.</summary>
    public string Who => $"backend {Subject.ShownName}, under rule {rule.Id},";

    public CancellationToken CancellationToken { get; } = cancellationToken;

    /// <summary>Why the rule does not apply; empty where it does.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>Whether something was found.</summary>
    public bool HasFailed => _failures.Count > 0;

    /// <summary>Whether a thread was left behind in the backend.</summary>
    public bool HasTimedOut { get; private set; }

    /// <summary>The layers that the backend can run, of those that the kit has; at least one, or the rule does not apply.</summary>
    public IReadOnlyList<MoeLayerShape> Shapes(Func<MoeLayerShape, bool>? filter = null) => Shapes(KitShapes.All.Where(shape => filter?.Invoke(shape) ?? true));

    /// <summary>The same of a rule's own layers.</summary>
    public IReadOnlyList<MoeLayerShape> Shapes(IEnumerable<MoeLayerShape> among)
    {
        string? refusal = null;
        var shapes = new List<MoeLayerShape>();
        foreach (MoeLayerShape shape in among)
        {
            MoeProbeResult answer = Subject.Backend.Probe(new MoeProbeRequest { Shape = shape, Device = Subject.Device });
            if (answer.IsSupported)
            {
                shapes.Add(shape);
            }
            else
            {
                refusal ??= answer.Message;
            }
        }

        if (shapes.Count == 0)
        {
            NotSupported(refusal ?? "the kit has no layer for it");
        }

        return shapes;
    }

    /// <summary>The methods that the backend makes for the kit's layers: that takes no device.</summary>
    public IEnumerable<Func<IMoeQuantMethod>> Methods()
    {
        bool hasAny = false;
        foreach (MoeLayerShape shape in KitShapes.All)
        {
            var request = new MoeProbeRequest { Shape = shape, Device = Subject.Device };
            try
            {
                Subject.Backend.CreateQuantMethod(request).Dispose();
            }
            catch (MoeException)
            {
                continue;
            }

            hasAny = true;
            yield return () => Subject.Backend.CreateQuantMethod(request);
        }

        if (!hasAny)
        {
            NotSupported("the backend makes no method for any layer of the kit");
        }
    }

    /// <summary>Makes a layer; what fails from here on is said of it.</summary>
    public LayerUnderTest Make(MoeLayerShape shape, MoeLayerOptions? options = null, Action<RandomLayer>? edit = null, MoeRowOrder rowOrder = MoeRowOrder.Interleaved)
    {
        CancellationToken.ThrowIfCancellationRequested();
        _shape = shape;
        _tokens = -1;
        return LayerUnderTest.Create(Subject, shape, options ?? new MoeLayerOptions { MaxTokens = KitShapes.MaxTokens }, edit, rowOrder);
    }

    /// <summary>Runs a batch in guarded buffers; what fails from here on is said of it.</summary>
    public ForwardResult Forward(LayerUnderTest layer, IMoeWorkspace workspace, MoeBuffer input, ForwardOptions? options = null)
    {
        CancellationToken.ThrowIfCancellationRequested();
        _tokens = input.View.Rows;
        return layer.Forward(workspace, input, options ?? new ForwardOptions());
    }

    /// <summary>Says of what fails from here on where it was: what is checked is no layer.</summary>
    public void At(string where) => _where = where;

    public void NotSupported(string reason) => Reason = reason;

    public void Fail(string expected, string got)
    {
        // What does not depend on the layer is found with each of them.
        var failure = new ConformanceFailure(Where, expected, got);
        lock (_lock)
        {
            if (!_hasEnded && _failures.Count < MostFailures && !_failures.Contains(failure))
            {
                _failures.Add(failure);
            }
        }
    }

    /// <summary>Fails because the backend does not return. That comes first: what was found before is less.</summary>
    /// <param name="limit">What it had.</param>
    /// <param name="got">Who did not, and for how long.</param>
    public void TimeOut(TimeSpan limit, string got)
    {
        var failure = new ConformanceFailure(Where, string.Create(CultureInfo.InvariantCulture, $"an end within {limit.TotalSeconds:0.###} s"), got);
        lock (_lock)
        {
            if (!_hasEnded)
            {
                HasTimedOut = true;
                _failures.Insert(0, failure);
            }
        }
    }

    /// <summary>Takes no more failures.</summary>
    /// <returns>Those that there are.</returns>
    public IReadOnlyList<ConformanceFailure> End()
    {
        lock (_lock)
        {
            _hasEnded = true;
            return [.. _failures];
        }
    }

    /// <summary>
    /// Fails unless a result is as near to the oracle's as the method promises. The choice of experts is the result's own, since ties may
    /// go either way; their weights are the caller's or the oracle's, so that a router gone wrong cannot excuse the result. What is known of
    /// a failure's cause is said of it.
    /// </summary>
    public void RequireNumerics(
        LayerUnderTest layer, MoeBuffer input, ForwardResult result, string what = "", MoeBuffer? weights = null, Func<KnownMistake?>? diagnose = null) =>
        Require(layer.Method.Numerics.RelativeError, OracleActivations.Exact, layer, input, result, what, weights, diagnose);

    /// <summary>The same beyond the rounding of activations that the method names.</summary>
    public void RequireNumericsBeyondRounding(LayerUnderTest layer, MoeBuffer input, ForwardResult result, string what) =>
        Require(layer.Method.Numerics.ErrorBeyondRounding, OracleActivations.Mxfp8, layer, input, result, what);

    private void Require(
        double promised,
        OracleActivations activations,
        LayerUnderTest layer,
        MoeBuffer input,
        ForwardResult result,
        string what,
        MoeBuffer? weights = null,
        Func<KnownMistake?>? diagnose = null)
    {
        OracleResult oracle = MoeOracle.Compute(
            layer.Config.Shape,
            layer.Source,
            input.View,
            new OracleOptions { TopKIds = result.Ids.View, TopKWeights = weights?.View ?? default, Activations = activations },
            CancellationToken);
        TensorDifference difference = TensorDifference.Measure(result.Output.View, oracle);
        if (!(difference.RelativeError <= promised))
        {
            string cause = diagnose?.Invoke() is { } mistake ? $": just what comes out where {mistake.Words}" : "";
            Fail(
                $"a relative error of at most {promised:0.0e0}{what}",
                $"{difference.RelativeError:0.0e0}, the largest difference {difference.MaxAbsError:0.0e0}{cause}");
        }
    }

    /// <summary>Fails unless two results are the same: bit for bit where the method is deterministic, else within its numerics.</summary>
    public void RequireSame(LayerUnderTest layer, ForwardResult result, ForwardResult reference, string what)
    {
        if (layer.Method.Numerics.IsDeterministic)
        {
            if (ForwardResult.FirstDifference(result, reference) is string difference)
            {
                Fail($"the same bits {what}", difference);
            }

            return;
        }

        TensorDifference measured = TensorDifference.Measure(result.Output.View, reference.Output.View);
        if (!(measured.RelativeError <= layer.Method.Numerics.RelativeError))
        {
            Fail($"the same result {what}", $"a relative difference of {measured.RelativeError:0.0e0}");
        }
    }

    private string Where => _where is not null ? _where : _shape is null ? "without a layer" : $"{KitShapes.Describe(_shape)}{(_tokens >= 0 ? $", {_tokens} tokens" : "")}, seed {Subject.Seed}";
}
