using System.CommandLine;
using System.CommandLine.Parsing;

namespace Moe.Plugins.Cli;

/// <summary>What is wrong with a command line, with the nearest right word where one was mistyped.</summary>
internal static class ParseErrors
{
    /// <summary>Reports the errors of a parse.</summary>
    /// <exception cref="CommandException">There are some.</exception>
    public static void ThrowIfAny(ParseResult result)
    {
        if (result.Errors.Count == 0)
        {
            return;
        }

        CommandResult command = result.CommandResult;
        string name = PathOf(command);

        // What follows a word that is not known may have belonged to it.
        IReadOnlyList<string> unmatched = result.UnmatchedTokens;
        string? unknown = unmatched.FirstOrDefault(IsOption) ?? (unmatched.Count > 0 ? unmatched[0] : null);
        IEnumerable<string> messages = result.Errors.Select(error => error.Message).Distinct();
        string message = unknown is null ? string.Join('\n', messages) : DescribeUnknown(command, name, unknown);
        throw new CommandException(ExitCode.BadInput, $"{message}\n'{name} --help' lists what is expected.");
    }

    private static string DescribeUnknown(CommandResult result, string name, string word)
    {
        Command command = result.Command;
        if (IsOption(word))
        {
            IEnumerable<string> options = Options(result).SelectMany(option => option.Aliases.Prepend(option.Name)).Where(option => option.StartsWith("--", StringComparison.Ordinal));
            return $"'{PlainText.Of(word)}' is not an option of {name}.{DidYouMean.Ask(word, options)}";
        }

        return command.Subcommands.Count > 0
            ? $"'{PlainText.Of(word)}' is not a command of {name}.{DidYouMean.Ask(word, command.Subcommands.Select(other => other.Name))}"
            : $"'{PlainText.Of(word)}' is more than {name} takes.";
    }

    /// <summary>A command's options, and those of the commands above it that count for all below.</summary>
    private static IEnumerable<Option> Options(CommandResult result)
    {
        foreach (Option option in result.Command.Options)
        {
            yield return option;
        }

        for (SymbolResult? parent = result.Parent; parent is CommandResult above; parent = parent.Parent)
        {
            foreach (Option option in above.Command.Options.Where(option => option.Recursive))
            {
                yield return option;
            }
        }
    }

    private static bool IsOption(string word) => word.StartsWith('-');

    /// <summary>A command with those that it belongs to, as it is typed.</summary>
    private static string PathOf(CommandResult result) =>
        result.Parent is CommandResult parent ? $"{PathOf(parent)} {result.Command.Name}" : result.Command.Name;
}
