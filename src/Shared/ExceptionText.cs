using System.Reflection;
using System.Runtime.CompilerServices;

namespace Moe.Plugins;

/// <summary>
/// What an exception of a plugin's says. Its own code is asked once, on a thread of its own: a message may throw, never come, or be another one each
/// time. Whoever shows, keeps or hands on the exception takes the text from here and never asks again.
/// </summary>
internal sealed class ExceptionText
{
    /// <summary>Most exceptions one within another that are read: something that wraps the last failure at each try goes deeper than a stack.</summary>
    public const int DeepestChain = 100;

    /// <summary>How long the code of one exception, and of all that it holds, may take to say what it is.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly List<Exception> _chain;
    private readonly string?[] _messages;
    private readonly string?[] _traces;
    private readonly bool _isLate;

    private ExceptionText(Exception exception)
    {
        _chain = ChainOf(exception);
        IsDeep = _chain.Count > DeepestChain;
        _messages = new string?[_chain.Count];
        _traces = new string?[_chain.Count];
        IsForeign = _chain.Exists(HasForeignCode);
        if (!IsForeign)
        {
            Ask(_messages, _traces);
            return;
        }

        // The thread may still be writing after its time: what has come by then counts.
        string?[] messages = new string?[_chain.Count];
        string?[] traces = new string?[_chain.Count];
        _isLate = !Run(() => Ask(messages, traces));
        messages.CopyTo(_messages, 0);
        traces.CopyTo(_traces, 0);
    }

    /// <summary>Whether it, or one that it holds, runs code that is neither the runtime's nor this library's when it is asked what it says.</summary>
    public bool IsForeign { get; }

    /// <summary>Whether it holds more others than are read.</summary>
    public bool IsDeep { get; }

    /// <summary>Its types, messages and stack traces, and those of all that it holds.</summary>
    public string Whole => string.Join(
        $"{Environment.NewLine} ---> ",
        _chain.Select((exception, i) => $"{exception.GetType().FullName}: {MessageOf(exception)}{(_traces[i] is { } trace ? Environment.NewLine + trace : "")}"));

    /// <summary>Reads an exception.</summary>
    public static ExceptionText Read(Exception exception) => new(exception);

    /// <summary>The name of its type and its message.</summary>
    public static string NameAndMessage(Exception exception) => $"{exception.GetType().Name}: {Read(exception).MessageOf(exception)}";

    /// <summary>The message of the exception that was read, or of one that it holds.</summary>
    public string MessageOf(Exception exception) => exception is AggregateException many && exception.GetType() == typeof(AggregateException)
        ? IsDeep ? $"{many.InnerExceptions.Count} failures, which hold more than {DeepestChain} others" : Together(many)
        : _messages.ElementAtOrDefault(_chain.FindIndex(one => ReferenceEquals(one, exception))) ?? (_isLate ? "its message does not come" : "its message cannot be read");

    // Its own message is made by asking all that it holds.
    private string Together(AggregateException many) => many.InnerExceptions.Count == 0
        ? "a failure that says nothing"
        : string.Join(" ", many.InnerExceptions.Select(one => $"{one.GetType().Name}: {MessageOf(one)}"));

    private static List<Exception> ChainOf(Exception exception)
    {
        var chain = new List<Exception>();
        var left = new Stack<Exception>([exception]);
        while (chain.Count <= DeepestChain && left.TryPop(out Exception? next))
        {
            chain.Add(next);
            IEnumerable<Exception?> held = next switch
            {
                AggregateException many => many.InnerExceptions,
                ReflectionTypeLoadException types => types.LoaderExceptions,
                _ => [next.InnerException],
            };
            foreach (Exception one in held.OfType<Exception>().Reverse())
            {
                left.Push(one);
            }
        }

        return chain;
    }

    // Two of the runtime's own ask a value that they were given.
    private static bool HasForeignCode(Exception exception) => !IsKnown(exception) || !IsKnown(exception switch
    {
        ArgumentOutOfRangeException range => range.ActualValue,
        SwitchExpressionException unmatched => unmatched.UnmatchedValue,
        _ => null,
    });

    private static bool IsKnown(object? value) => value?.GetType().Assembly is not { } assembly
        || assembly == typeof(object).Assembly || assembly == typeof(MoeException).Assembly || assembly == typeof(ExceptionText).Assembly;

    private void Ask(string?[] messages, string?[] traces)
    {
        // Traces first: few exceptions have one of their own, and a message that never comes should not take them away.
        for (int i = 0; i < _chain.Count; i++)
        {
            traces[i] = Try(() => _chain[i].StackTrace);
        }

        for (int i = 0; i < _chain.Count; i++)
        {
            if (_chain[i].GetType() != typeof(AggregateException))
            {
                messages[i] = Try(() => _chain[i].Message ?? "its message is null");
            }
        }
    }

    private static string? Try(Func<string?> ask)
    {
        try
        {
            return ask();
        }
        catch (Exception)
        {
            return null;
        }
    }

    private static bool Run(ThreadStart ask)
    {
        try
        {
            var thread = new Thread(ask) { IsBackground = true, Name = "Moe.Plugins reading an exception" };
            thread.Start();
            return thread.Join(Patience);
        }
        catch (Exception exception) when (exception is OutOfMemoryException or ThreadStartException)
        {
            return false;
        }
    }
}
