using Moe.Plugins;

namespace Fixtures;

/// <summary>Where to misbehave, and how.</summary>
/// <param name="text">A place and a way: <c>probe:unreadable</c>.</param>
/// <param name="key">The key of the program's data that says it in place of the text, where there is one: a test changes it as it goes.</param>
internal sealed class Mode(string text, string key)
{
    /// <summary>Where to misbehave.</summary>
    public string Place => Text.Split(':')[0];

    private string Text => AppContext.GetData(key) as string ?? text;

    /// <summary>How to misbehave at a place; empty where the mode is about another one.</summary>
    public string At(string place)
    {
        string[] parts = Text.Split(':');
        return parts[0] == place ? parts[1] : "";
    }

    /// <summary>Throws, or never returns, where the mode says so.</summary>
    public void Throw(string place)
    {
        switch (At(place))
        {
            case "unreadable":
                throw new UnreadableException();
            case "once":
                throw new OnceException();
            case "once-inner":
                throw new InvalidOperationException("around it", new AggregateException(new OnceException(), new ManyTextsException()));
            case "once-value":
                throw new ArgumentOutOfRangeException("index", new OnceValue(), "a value of the plugin's own");
            case "many-texts":
                throw new ManyTextsException();
            case "endless":
                throw new EndlessException();
            case "silent":
                throw new SilentException();
            case "textless":
                throw new TextlessException();
            case "traceless":
                throw new TracelessException();
            case "deep":
                throw Enumerable.Range(0, 100_000).Aggregate(new InvalidOperationException("the first try"), (last, i) => new InvalidOperationException($"try {i}", last));
            case "deeper":
                throw Enumerable.Range(0, 20_000).Aggregate(new AggregateException(), (last, i) => new AggregateException(last, new TracelessException()));
            case "inner":
                throw new InvalidOperationException("around it", new UnreadableException());
            case "cancel":
                throw new OperationCanceledException("the plugin's own time-out");
            case "task":
                throw new TaskCanceledException("the plugin's own request took too long");
            case "aggregate":
                throw new AggregateException(new TaskCanceledException("one"), new UnreadableException());
            case "argument":
                throw new ArgumentOutOfRangeException("index", "a mistake of the plugin's own");
            case "reference":
                throw new NullReferenceException("a mistake of the plugin's own");
            case "disposed":
                throw new ObjectDisposedException("something of the plugin's own");
            case "reason":
                throw new MoeException((MoeReason)4711, "a reason that there is not");
            case "throw":
                throw new InvalidOperationException($"thrown at {place}");
            case "cursor":
                throw new InvalidOperationException("\u001b[2K\r\u202egnorw si gnihton\u200b");
            case "long":
                throw new InvalidOperationException(new string('x', 5_000_000));
            case "hang":
                Thread.Sleep(Timeout.Infinite);
                break;
            case "interrupt":
                Thread.CurrentThread.Interrupt();
                break;
        }
    }
}
