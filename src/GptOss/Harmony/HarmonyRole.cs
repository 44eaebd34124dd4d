namespace Moe.Plugins.GptOss;

/// <summary>The authors that are no tools.</summary>
internal static class HarmonyRole
{
    public const string System = "system";
    public const string Developer = "developer";
    public const string User = "user";
    public const string Assistant = "assistant";
}
