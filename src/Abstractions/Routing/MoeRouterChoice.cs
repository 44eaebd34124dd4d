namespace Moe.Plugins;

/// <summary>Who says which experts a token goes to. The weights come from the router's scores either way.</summary>
public enum MoeRouterChoice
{
    /// <summary>The k largest scores, selection bias included.</summary>
    TopK = 0,

    /// <summary>A table with k experts for each token id (DeepSeek-V4's first layers); the call brings the ids.</summary>
    TokenTable = 1,
}
