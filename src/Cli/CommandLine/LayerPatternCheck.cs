using System.IO.Enumeration;

namespace Moe.Plugins.Cli;

/// <summary>Warns of settings for layers that a checkpoint does not have: a mistyped pattern would else do nothing, and say nothing.</summary>
internal static class LayerPatternCheck
{
    public static void Warn(CommandConsole console, string checkpoint, IReadOnlyList<string> layers)
    {
        foreach (string pattern in HostFactory.Options().Layers.Keys)
        {
            if (!layers.Any(layer => FileSystemName.MatchesSimpleExpression(pattern, layer, ignoreCase: true)))
            {
                console.WriteWarning($"Moe:Layers:{pattern} matches no layer of '{checkpoint}'.{DidYouMean.Ask(pattern, layers)}");
            }
        }
    }
}
