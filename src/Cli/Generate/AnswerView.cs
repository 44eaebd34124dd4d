using Microsoft.Extensions.AI;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>Shows an answer as it comes: the answer on standard output, thinking and calls, dim, on standard error.</summary>
internal sealed class AnswerView(CommandConsole console) : IDisposable
{
    private const string Dim = "\u001b[2m";
    private const string Normal = "\u001b[0m";

    private IAnsiConsole? _shown;

    public void Show(ChatResponseUpdate update)
    {
        foreach (AIContent content in update.Contents)
        {
            switch (content)
            {
                case TextReasoningContent thinking:
                    Write(console.Error, thinking.Text);
                    break;
                case TextContent text:
                    Write(console.Out, text.Text);
                    break;
                case FunctionCallContent call:
                    Write(console.Error, $"calls {call.Name}");
                    break;
            }
        }
    }

    /// <summary>Shows a whole text, however long it is.</summary>
    public void Show(string text) => Write(console.Out, text);

    /// <summary>Ends the line.</summary>
    public void Dispose() => Turn(to: null);

    private void Write(IAnsiConsole target, string text)
    {
        if (text.Length > 0)
        {
            Turn(target);

            // Not through the console's own layout, which would break lines where a token ends.
            target.Profile.Out.Writer.Write(target.Profile.Out.IsTerminal ? Harmless(text) : text);
            target.Profile.Out.Writer.Flush();
        }
    }

    private void Turn(IAnsiConsole? to)
    {
        if (_shown == to)
        {
            return;
        }

        if (_shown is not null)
        {
            _shown.Profile.Out.Writer.Write(IsDim(_shown) ? $"{Normal}\n" : "\n");
        }

        if (to is not null && IsDim(to))
        {
            to.Profile.Out.Writer.Write(Dim);
        }

        _shown = to;
    }

    private bool IsDim(IAnsiConsole target) => target == console.Error && target.Profile.Capabilities.Ansi;

    /// <summary>What a model writes must not move the cursor.</summary>
    private static string Harmless(string text) =>
        string.Concat(text.Select(c => char.IsControl(c) && c is not ('\n' or '\t') ? PlainText.Of(c.ToString()) : c.ToString()));
}
