using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Moe.Plugins;

/// <summary>
/// Runs a plugin's code on a thread of its own, so that code which never returns costs its caller only the wait. A thread cannot be
/// stopped: one that is late is left behind, and whoever started it never calls that plugin again.
/// </summary>
internal sealed class Deadline<T>
{
    private readonly Thread _thread;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private T? _result;
    private ExceptionDispatchInfo? _exception;

    public Deadline(string name, Func<T> work)
    {
        _thread = new Thread(() =>
        {
            try
            {
                _result = work();
            }
            catch (Exception exception)
            {
                // Whatever it is belongs to the one who waits; on this thread it would end the process.
                _exception = ExceptionDispatchInfo.Capture(exception);
            }
            finally
            {
                _clock.Stop();
            }
        })
        {
            IsBackground = true,
            Name = name,
        };
        _thread.Start();
    }

    /// <summary>How long the work took, or has taken until now.</summary>
    public TimeSpan Elapsed => _clock.Elapsed;

    /// <summary>Waits until <paramref name="timeout"/> after the start.</summary>
    /// <returns>Whether the work is done; if not, it is still running.</returns>
    public bool TryGet(TimeSpan timeout, out T? result)
    {
        TimeSpan left = timeout - _clock.Elapsed;
        if (!_thread.Join(left > TimeSpan.Zero ? left : TimeSpan.Zero))
        {
            result = default;
            return false;
        }

        _exception?.Throw();
        result = _result;
        return true;
    }
}
