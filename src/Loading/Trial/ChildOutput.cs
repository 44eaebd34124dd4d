using System.Text;

namespace Moe.Plugins;

/// <summary>
/// Reads one of a child's outputs to its end, so that the child never waits for a full pipe, and keeps its beginning and the lines that start with a
/// mark. On a thread of its own: plugins that are loaded already may keep the thread pool busy.
/// </summary>
internal sealed class ChildOutput
{
    private const int KeptLength = 4096;
    private const int LongestLine = 256;

    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private readonly StringBuilder _kept = new();
    private readonly List<string> _marked = [];
    private readonly string _mark;

    public ChildOutput(StreamReader reader, string mark)
    {
        _mark = mark + " ";
        _thread = new Thread(() => Read(reader)) { IsBackground = true, Name = "Moe.Plugins trial, output" };
        _thread.Start();
    }

    /// <summary>The beginning of all that was written.</summary>
    public string Beginning
    {
        get
        {
            lock (_lock)
            {
                return _kept.ToString();
            }
        }
    }

    /// <summary>What followed the mark, line by line.</summary>
    public string[] Marked
    {
        get
        {
            lock (_lock)
            {
                return [.. _marked];
            }
        }
    }

    /// <summary>Whether nobody can write any more.</summary>
    public bool HasEnded => !_thread.IsAlive;

    /// <summary>Waits for the end; a process that the plugin has left behind may keep it from coming.</summary>
    public void Wait(TimeSpan patience) => _thread.Join(patience);

    private void Read(StreamReader reader)
    {
        char[] buffer = new char[KeptLength];
        var line = new StringBuilder();
        try
        {
            for (int length = reader.Read(buffer, 0, buffer.Length); length > 0; length = reader.Read(buffer, 0, buffer.Length))
            {
                lock (_lock)
                {
                    _kept.Append(buffer, 0, Math.Min(length, KeptLength - _kept.Length));
                    foreach (char c in buffer.AsSpan(0, length))
                    {
                        Add(line, c);
                    }
                }
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException)
        {
            // Nobody waits for it any more.
        }
    }

    private void Add(StringBuilder line, char c)
    {
        if (c != '\n')
        {
            // A line that is longer is none with a mark.
            if (line.Length < LongestLine)
            {
                line.Append(c);
            }

            return;
        }

        string text = line.ToString();
        line.Clear();
        if (text.StartsWith(_mark, StringComparison.Ordinal))
        {
            _marked.Add(text[_mark.Length..]);
        }
    }
}
