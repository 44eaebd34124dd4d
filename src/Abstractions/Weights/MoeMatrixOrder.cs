namespace Moe.Plugins;

/// <summary>Which dimension of a weight matrix runs along its rows. A backend always reads output-major.</summary>
public enum MoeMatrixOrder
{
    /// <summary>[experts, outputs, inputs]: one row is one output's weights.</summary>
    OutputMajor = 0,

    /// <summary>[experts, inputs, outputs]: one row is one input's weights (GPT-OSS as transformers saves it in BF16, Llama-4).</summary>
    InputMajor = 1,
}
