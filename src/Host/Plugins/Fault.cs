using System.Reflection;

namespace Moe.Plugins;

/// <summary>Turns what a plugin's code threw into a reason and one sentence. Reflection's wrappers say nothing: the cause is inside.</summary>
internal static class Fault
{
    public static (MoeReason Reason, string Sentence) Explain(Exception exception)
    {
        Exception cause = Unwrap(exception);
        return cause switch
        {
            MoeException moe => (moe.Reason == MoeReason.None ? MoeReason.Threw : moe.Reason, moe.Message),
            FileNotFoundException { FileName: { } name } when IsAssemblyName(name) => (
                MoeReason.MissingDependency,
                $"The assembly {name} is needed and is not in the plugin's folder."),
            FileLoadException load => (MoeReason.MissingDependency, $"An assembly could not be loaded: {OneLine(load.Message)}"),
            DllNotFoundException library => (MoeReason.MissingLibrary, OneLine(library.Message)),
            MissingMemberException or TypeLoadException => (
                MoeReason.ContractVersion,
                $"It was built against other versions of what it calls: {OneLine(cause.Message)}"),
            BadImageFormatException image => (MoeReason.NotAPlugin, OneLine(image.Message)),
            OutOfMemoryException => (MoeReason.OutOfMemory, OneLine(cause.Message)),
            _ => (MoeReason.Threw, $"{cause.GetType().Name}: {OneLine(cause.Message)}"),
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

    private static string OneLine(string message) => message.ReplaceLineEndings(" ").Trim();
}
