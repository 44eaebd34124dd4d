namespace Moe.Plugins.Cli;

/// <summary>What went into a layer and came out of it, in host memory.</summary>
/// <param name="Input">[tokens, hidden size].</param>
/// <param name="Output">[tokens, hidden size].</param>
/// <param name="TopKIds">[tokens, top-k] int32, as the backend chose them.</param>
/// <param name="TokenIds">[tokens, 1] int32; empty where the layer does not look experts up by token.</param>
internal readonly record struct LayerBatch(MoeTensorView Input, MoeTensorView Output, MoeTensorView TopKIds, MoeTensorView TokenIds = default);
