using System.Runtime.InteropServices;

namespace Moe.Plugins.Cli;

/// <summary>Makes Ctrl+C end what is under way; where nothing is, it ends the program as ever.</summary>
internal sealed class Interrupt : IDisposable
{
    private readonly PosixSignalRegistration _registration;
    private CancellationTokenSource? _current;

    public Interrupt() => _registration = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

    /// <summary>Begins something; its end is the source's disposal.</summary>
    public CancellationTokenSource Begin() => _current = new CancellationTokenSource();

    public void Dispose() => _registration.Dispose();

    private void OnSignal(PosixSignalContext context)
    {
        try
        {
            if (_current is { IsCancellationRequested: false } current)
            {
                current.Cancel();
                context.Cancel = true;
                return;
            }
        }
        catch (ObjectDisposedException)
        {
            // It has ended by itself.
        }

        Environment.Exit(ExitCode.Interrupted);
    }
}
