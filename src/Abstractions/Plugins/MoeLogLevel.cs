namespace Moe.Plugins;

/// <summary>How much a message matters.</summary>
public enum MoeLogLevel
{
    /// <summary>For the plugin's author.</summary>
    Debug = 0,

    /// <summary>For an operator who wants to know what was done.</summary>
    Information = 1,

    /// <summary>It works, but not as the operator would wish.</summary>
    Warning = 2,

    /// <summary>It does not work.</summary>
    Error = 3,
}
