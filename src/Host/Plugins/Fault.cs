using System.Reflection;

namespace Moe.Plugins;

/// <summary>
/// What a plugin's code threw, read once, as a reason and one sentence, with what strangers wrote shown as what it is. Reflection's wrappers say nothing:
/// the cause is inside.
/// </summary>
/// <param name="Reason">Why, for programs.</param>
/// <param name="Sentence">Why, for people.</param>
/// <param name="Shown">
/// An exception that may be kept, logged and shown: what was thrown, or the text of it where that has code of the plugin's, would move a terminal's
/// cursor, or would fill a log.
/// </param>
internal sealed record Fault(MoeReason Reason, string Sentence, Exception Shown)
{
    /// <summary>Longest text of an exception that is logged as it is: a deep stack is some tens of thousands of characters.</summary>
    private const int LongestText = 1 << 17;

    public static Fault Read(Exception exception)
    {
        ExceptionText text = ExceptionText.Read(exception);
        (MoeReason reason, string sentence) = Describe(Unwrap(exception), text);
        return new Fault(reason, PlainText.OfMessage(sentence), Show(exception, text));
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

    private static (MoeReason Reason, string Sentence) Describe(Exception cause, ExceptionText text)
    {
        string message = text.MessageOf(cause);
        string line = message.ReplaceLineEndings(" ").Trim();
        return cause switch
        {
            MoeException moe => (moe.Reason == MoeReason.None ? MoeReason.Threw : moe.Reason, message),
            FileNotFoundException { FileName: { } name } when IsAssemblyName(name) => (
                MoeReason.MissingDependency,
                $"The assembly {name} is needed and is not in the plugin's folder."),
            FileLoadException => (MoeReason.MissingDependency, $"An assembly could not be loaded: {line}"),
            DllNotFoundException => (MoeReason.MissingLibrary, line),
            MissingMemberException or TypeLoadException => (
                MoeReason.ContractVersion,
                $"It was built against other versions of what it calls: {line}"),
            BadImageFormatException => (MoeReason.NotAPlugin, line),
            OutOfMemoryException => (MoeReason.OutOfMemory, line),
            _ => (MoeReason.Threw, $"{cause.GetType().Name}: {line}"),
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

    private static Exception Show(Exception exception, ExceptionText text)
    {
        if (!text.IsForeign && !text.IsDeep && exception.ToString() is { Length: <= LongestText } whole && PlainText.IsPlain(whole))
        {
            return exception;
        }

        return new InvalidOperationException(PlainText.OfMessage(text.Whole));
    }
}
