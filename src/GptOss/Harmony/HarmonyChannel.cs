namespace Moe.Plugins.GptOss;

/// <summary>The channels of an assistant's messages.</summary>
internal static class HarmonyChannel
{
    /// <summary>Thinking: not for users.</summary>
    public const string Analysis = "analysis";

    /// <summary>Calls of tools, and what is said to the user before them.</summary>
    public const string Commentary = "commentary";

    /// <summary>The answer.</summary>
    public const string Final = "final";
}
