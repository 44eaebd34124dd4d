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
        string message = unknown is null ? Describe(result, name) : DescribeUnknown(command, name, unknown);
        throw new CommandException(ExitCode.BadInput, $"{message}\n'{name} --help' lists what is expected.");
    }

    // What is missing is named together, and before anything else that is wrong: the library says it one by one, and of arguments not which.
    private static string Describe(ParseResult result, string name)
    {
        CommandResult command = result.CommandResult;
        string[] missing =
        [
            .. command.Command.Arguments.Where(argument => argument.Arity.MinimumNumberOfValues > 0 && IsMissing(command.GetResult(argument))).Select(static argument => argument.Name),
            .. command.Command.Options.Where(option => option.Required && IsMissing(command.GetResult(option))).Select(static option => option.Name),
        ];
        if (command.Command.Subcommands.Count > 0 && command.Command.Action is null)
        {
            missing = [$"a command: {CommandOptions.Listed([.. command.Command.Subcommands.Select(static other => other.Name)], "or")}"];
        }

        return missing.Length > 0
            ? $"{name} needs {CommandOptions.Listed(missing, "and")}."
            : string.Join('\n', result.Errors.Select(DescribeError).Distinct());

        static bool IsMissing(SymbolResult? given) => given is not { Tokens.Count: > 0 };
    }

    private static string DescribeError(ParseError error) => error.SymbolResult switch
    {
        OptionResult { Tokens.Count: 0 } given when given.Option.Arity.MinimumNumberOfValues > 0 => $"{given.Option.Name} needs {given.Option.HelpName ?? "a value"}.",
        _ => error.Message,
    };

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
