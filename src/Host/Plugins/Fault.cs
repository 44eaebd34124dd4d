using System.Reflection;

namespace Moe.Plugins;

/// <summary>
/// Turns what a plugin's code threw into a reason and one sentence, with what strangers wrote shown as what it is. Reflection's wrappers say nothing:
/// the cause is inside.
/// </summary>
internal static class Fault
{
    /// <summary>Longest text of an exception that is logged as it is: a deep stack is some tens of thousands of characters.</summary>
    private const int LongestText = 1 << 17;

    /// <summary>Most exceptions one within another that are asked for their text, which each of them asks the next for, on one stack.</summary>
    private const int DeepestChain = 100;

    public static (MoeReason Reason, string Sentence) Explain(Exception exception)
    {
        (MoeReason reason, string sentence) = Describe(Unwrap(exception));
        return (reason, PlainText.OfMessage(sentence));
    }

    private static (MoeReason Reason, string Sentence) Describe(Exception cause)
    {
        return cause switch
        {
            MoeException moe => (moe.Reason == MoeReason.None ? MoeReason.Threw : moe.Reason, MessageOf(moe)),
            FileNotFoundException { FileName: { } name } when IsAssemblyName(name) => (
                MoeReason.MissingDependency,
                $"The assembly {name} is needed and is not in the plugin's folder."),
            FileLoadException load => (MoeReason.MissingDependency, $"An assembly could not be loaded: {OneLine(load)}"),
            DllNotFoundException library => (MoeReason.MissingLibrary, OneLine(library)),
            MissingMemberException or TypeLoadException => (
                MoeReason.ContractVersion,
                $"It was built against other versions of what it calls: {OneLine(cause)}"),
            BadImageFormatException image => (MoeReason.NotAPlugin, OneLine(image)),
            OutOfMemoryException => (MoeReason.OutOfMemory, OneLine(cause)),
            _ => (MoeReason.Threw, $"{cause.GetType().Name}: {OneLine(cause)}"),
        };
    }

    private static Exception Unwrap(Exception exception)
    {
        while (true)
        {
            Exception? inner = exception switch
            {
                TargetInvocationException or TypeInitializationException => exception.InnerException,
                ReflectionTypeLoadException types => types.LoaderExceptions.FirstOrDefault(static e => e is not null),
                AggregateException { InnerExceptions.Count: 1 } => exception.InnerException,
                _ => null,
            };
            if (inner is null)
            {
                return exception;
            }

            exception = inner;
        }
    }

    // A plugin's own missing data file is a FileNotFoundException too: its FileName is a path, an assembly's is a display name.
    private static bool IsAssemblyName(string fileName) => fileName.Contains(", Version=", StringComparison.Ordinal);

    /// <summary>
    /// An exception that may be kept, logged and shown: the plugin's own, unless that throws when it is asked for its text, which would be the end of
    /// whoever asks, or its text would move a terminal's cursor, or fill a log.
    /// </summary>
    public static Exception Readable(Exception exception)
    {
        if (IsDeep(exception))
        {
            return new InvalidOperationException(PlainText.OfMessage(
                $"{exception.GetType().FullName}, which holds more than {DeepestChain} others: {Explain(exception).Sentence}"));
        }

        try
        {
            string? text = exception.ToString();
            return text is null ? Unreadable(exception)
                : text.Length <= LongestText && PlainText.IsPlain(text) ? exception
                : new InvalidOperationException(PlainText.OfMessage(text));
        }
        catch (Exception)
        {
            return Unreadable(exception);
        }
    }

    /// <summary>Frees something of a plugin's after a failure, whatever it throws: it must not hide what came first.</summary>
    public static void Ignore(Action free)
    {
        try
        {
            free();
        }
        catch (Exception)
        {
            // The failure that is on its way says more.
        }
    }

    private static InvalidOperationException Unreadable(Exception exception)
    {
        string? trace = null;
        Ignore(() => trace = exception.StackTrace);
        return new(PlainText.OfMessage($"{exception.GetType().FullName}, whose own message cannot be read.{Environment.NewLine}{trace}"));
    }

    // Something that wraps the last failure at each try goes deeper than a stack.
    private static bool IsDeep(Exception exception)
    {
        var left = new Stack<Exception>([exception]);
        for (int seen = 0; left.TryPop(out Exception? next); seen++)
        {
            if (seen > DeepestChain)
            {
                return true;
            }

            if (next is AggregateException many)
            {
                foreach (Exception one in many.InnerExceptions)
                {
                    left.Push(one);
                }
            }
            else if (next.InnerException is { } inner)
            {
                left.Push(inner);
            }
        }

        return false;
    }

    private static string OneLine(Exception exception) => MessageOf(exception).ReplaceLineEndings(" ").Trim();

    // A plugin's own exception may say nothing, or throw.
    private static string MessageOf(Exception exception)
    {
        try
        {
            // Its message is made of those of all that it holds.
            return exception is AggregateException many && IsDeep(exception)
                ? $"{many.InnerExceptions.Count} failures, which hold more than {DeepestChain} others"
                : exception.Message ?? "its message is null";
        }
        catch (Exception)
        {
            return "its message cannot be read";
        }
    }
}
