namespace Moe.Plugins.GptOss;

/// <summary>The steps of a forward that the threads share.</summary>
internal enum ForwardPhase
{
    /// <summary>By token: the rows of the embedding.</summary>
    Embed,

    /// <summary>By token: the last layer's experts are added to the stream, which is normed for the queries, keys and values.</summary>
    AttentionNorm,

    /// <summary>By panels.</summary>
    QueryKeyValue,

    /// <summary>By token: queries and keys are rotated, keys and values kept.</summary>
    Rotate,

    /// <summary>By token and key-value head.</summary>
    Attend,

    /// <summary>By panels.</summary>
    Output,

    /// <summary>By token: attention is added to the stream, which is normed for the experts.</summary>
    ExpertNorm,

    /// <summary>By token: the last experts are added to the stream.</summary>
    Residual,

    /// <summary>By row of logits: the last norm.</summary>
    FinalNorm,

    /// <summary>By panels.</summary>
    Head,
}
