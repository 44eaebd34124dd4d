namespace Moe.Plugins;

/// <summary>Checks a call against a layer, so that a method can trust what it is handed. Allocates only to complain.</summary>
internal static class LayerCallCheck
{
    public static void Check(in MoeLayerCall call, MoeLayerConfig config, MoeDevice device, bool hasRouter, bool hasGroup)
    {
        int tokens = call.Input.Rows;
        if (tokens > config.Options.MaxTokens)
        {
            throw new ArgumentException(
                $"The call brings {tokens} tokens; the layer was made for at most {config.Options.MaxTokens} ({nameof(MoeLayerOptions)}.{nameof(MoeLayerOptions.MaxTokens)}).");
        }

        int hidden = config.Shape.HiddenSize;
        CheckView(call.Input, nameof(call.Input), tokens, hidden, config.Options.InputType, device);
        CheckView(call.Output, nameof(call.Output), tokens, hidden, config.Options.OutputType, device);
        CheckRouting(call, config, device, hasRouter, tokens);
        CheckTokenIds(call, config, device, tokens);
        if (call.AddNorm is MoeAddNorm addNorm)
        {
            CheckAddNorm(addNorm, config, device, tokens, hasGroup);
        }

        CheckOverlaps(call);
    }

    // A backend may write before it has read all. The same tensor twice is the caller's business: most backends can do that.
    private static void CheckOverlaps(in MoeLayerCall call)
    {
        TensorsApart.Require(call.Output, nameof(call.Output), call.Input, nameof(call.Input));
        TensorsApart.Require(call.Output, nameof(call.Output), call.TopKIds, nameof(call.TopKIds));
        TensorsApart.Require(call.Output, nameof(call.Output), call.TopKWeights, nameof(call.TopKWeights));
        TensorsApart.Require(call.Output, nameof(call.Output), call.TokenIds, nameof(call.TokenIds));
        if (call.Routing == MoeRoutingSource.Router)
        {
            TensorsApart.Require(call.TopKIds, nameof(call.TopKIds), call.Input, nameof(call.Input));
            TensorsApart.Require(call.TopKIds, nameof(call.TopKIds), call.TopKWeights, nameof(call.TopKWeights));
            TensorsApart.Require(call.TopKIds, nameof(call.TopKIds), call.TokenIds, nameof(call.TokenIds));
            TensorsApart.Require(call.TopKWeights, nameof(call.TopKWeights), call.Input, nameof(call.Input));
            TensorsApart.Require(call.TopKWeights, nameof(call.TopKWeights), call.TokenIds, nameof(call.TokenIds));
        }

        if (call.AddNorm is { } addNorm)
        {
            TensorsApart.Require(call.Output, nameof(call.Output), addNorm.Residual, nameof(addNorm.Residual));
            TensorsApart.Require(call.Output, nameof(call.Output), addNorm.NormWeight, nameof(addNorm.NormWeight));
            TensorsApart.Require(call.Output, nameof(call.Output), addNorm.ResidualOutput, nameof(addNorm.ResidualOutput));
            TensorsApart.Require(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), addNorm.Residual, nameof(addNorm.Residual));
            TensorsApart.Require(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), addNorm.NormWeight, nameof(addNorm.NormWeight));
            TensorsApart.Require(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), call.Input, nameof(call.Input));
        }
    }

    // Before anything runs: a reduction that only then is found wrong keeps the other ranks waiting.
    private static void CheckAddNorm(in MoeAddNorm addNorm, MoeLayerConfig config, MoeDevice device, int tokens, bool hasGroup)
    {
        if (!hasGroup)
        {
            throw new ArgumentException($"{nameof(MoeLayerCall.AddNorm)} belongs to a reduction, and the state has no group.");
        }

        if (config.Options.DispatchTokens)
        {
            throw new ArgumentException(
                $"{nameof(MoeLayerCall.AddNorm)} belongs to a reduction that gives every rank all tokens, and the layer gives each rank its own "
                + $"({nameof(MoeLayerOptions)}.{nameof(MoeLayerOptions.DispatchTokens)}).");
        }

        int hidden = config.Shape.HiddenSize;
        if (!addNorm.NormWeight.IsEmpty)
        {
            bool isFloat32 = addNorm.NormWeight.ElementType == MoeElementType.Float32;
            CheckView(addNorm.NormWeight, nameof(addNorm.NormWeight), 1, hidden, isFloat32 ? MoeElementType.Float32 : MoeElementType.BFloat16, device);
        }

        if (!addNorm.Residual.IsEmpty)
        {
            CheckView(addNorm.Residual, nameof(addNorm.Residual), tokens, hidden, config.Options.OutputType, device);
        }

        if (!addNorm.ResidualOutput.IsEmpty)
        {
            CheckView(addNorm.ResidualOutput, nameof(addNorm.ResidualOutput), tokens, hidden, config.Options.OutputType, device);
        }
    }

    private static void CheckRouting(in MoeLayerCall call, MoeLayerConfig config, MoeDevice device, bool hasRouter, int tokens)
    {
        if (call.TopKIds.IsEmpty != call.TopKWeights.IsEmpty)
        {
            throw new ArgumentException(
                $"{(call.TopKIds.IsEmpty ? nameof(call.TopKWeights) : nameof(call.TopKIds))} is there without the other: "
                + "expert ids and their weights come both or neither.");
        }

        if (call.Routing == MoeRoutingSource.Router && !hasRouter)
        {
            throw new ArgumentException("The layer was made without router weights, so the call must route: Routing = Caller, with ids and weights.");
        }

        if (call.TopKIds.IsEmpty)
        {
            if (call.Routing == MoeRoutingSource.Caller && tokens != 0)
            {
                throw new ArgumentException("Routing is Caller, and TopKIds and TopKWeights are missing.");
            }

            return;
        }

        CheckView(call.TopKIds, nameof(call.TopKIds), tokens, config.Shape.TopK, MoeElementType.Int32, device);
        CheckView(call.TopKWeights, nameof(call.TopKWeights), tokens, config.Shape.TopK, MoeElementType.Float32, device);
    }

    private static void CheckTokenIds(in MoeLayerCall call, MoeLayerConfig config, MoeDevice device, int tokens)
    {
        if (config.Shape.Router.Choice == MoeRouterChoice.TokenTable && call.Routing == MoeRoutingSource.Router)
        {
            if (call.TokenIds.IsEmpty && tokens != 0)
            {
                throw new ArgumentException($"The layer looks its experts up by token id, and {nameof(call.TokenIds)} is missing.");
            }

            CheckView(call.TokenIds, nameof(call.TokenIds), tokens, 1, MoeElementType.Int32, device);
        }
    }

    private static void CheckView(in MoeTensorView view, string name, int rows, int columns, MoeElementType type, MoeDevice device)
    {
        // A view of no tokens has nothing in it that could be wrong, not even an address.
        if (rows == 0 && view.Rows == 0)
        {
            return;
        }

        if (view.Planes != 1 || view.Rows != rows || view.Columns != columns)
        {
            throw new ArgumentException($"{name} is [{view.Planes}, {view.Rows}, {view.Columns}]; [1, {rows}, {columns}] is expected.");
        }

        if (view.ElementType != type)
        {
            throw new ArgumentException($"{name} is {view.ElementType}; {type} is expected.");
        }

        if (view.Device != device)
        {
            throw new ArgumentException($"{name} is on {view.Device}; the layer is on {device}.");
        }
    }
}
