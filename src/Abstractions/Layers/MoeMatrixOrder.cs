namespace Moe.Plugins;

/// <summary>Which dimension of a weight matrix runs along its rows.</summary>
public enum MoeMatrixOrder
{
    /// <summary>[experts, outputs, inputs]: one row is one output's weights (MXFP4 checkpoints).</summary>
    OutputMajor = 0,

    /// <summary>[experts, inputs, outputs]: one row is one input's weights (GPT-OSS as transformers saves it in BF16).</summary>
    InputMajor = 1,
}
