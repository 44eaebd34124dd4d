using System.Runtime.InteropServices;
using System.Text;

namespace Moe.Plugins.Cuda;

/// <summary>One compilation by NVRTC.</summary>
internal sealed unsafe class NvrtcProgram : SafeHandle
{
    private const int CompilationError = 6;

    internal NvrtcProgram(KernelSource source)
        : base(0, ownsHandle: true)
    {
        string[] texts = [.. source.Headers.Select(header => header.Text)];
        string[] names = [.. source.Headers.Select(header => header.Name)];
        Nvrtc.ThrowIfFailed(
            NvrtcApi.nvrtcCreateProgram(out nint program, source.Text, source.Name, names.Length, texts, names), nameof(NvrtcApi.nvrtcCreateProgram));
        SetHandle(program);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Compiles to a cubin.</summary>
    internal KernelImage Compile(KernelSource source, CudaArchitecture architecture, string[] options, IReadOnlyList<string> nameExpressions)
    {
        foreach (string expression in nameExpressions)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcAddNameExpression(handle, expression), nameof(NvrtcApi.nvrtcAddNameExpression));
        }

        int result = NvrtcApi.nvrtcCompileProgram(handle, options.Length, options);
        string log = result is 0 or CompilationError ? ReadLog() : "";
        if (result != 0)
        {
            throw CudaException.FromNvrtc(
                result,
                nameof(NvrtcApi.nvrtcCompileProgram),
                $"{source.Name} for {architecture}, options {string.Join(' ', options)}:{Environment.NewLine}{log}");
        }

        Dictionary<string, string> loweredNames = [];
        foreach (string expression in nameExpressions)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetLoweredName(handle, expression, out nint lowered), nameof(NvrtcApi.nvrtcGetLoweredName));
            loweredNames[expression] = Marshal.PtrToStringUTF8(lowered)!;
        }

        Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetCUBINSize(handle, out nuint bytes), nameof(NvrtcApi.nvrtcGetCUBINSize));
        byte[] cubin = new byte[(int)bytes];
        fixed (byte* pointer = cubin)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetCUBIN(handle, pointer), nameof(NvrtcApi.nvrtcGetCUBIN));
        }

        return new KernelImage(cubin, log, loweredNames, KernelImageOrigin.Compiled);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        nint program = handle;
        return NvrtcApi.nvrtcDestroyProgram(ref program) == 0;
    }

    private string ReadLog()
    {
        Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetProgramLogSize(handle, out nuint bytes), nameof(NvrtcApi.nvrtcGetProgramLogSize));
        byte[] log = new byte[(int)bytes];
        fixed (byte* pointer = log)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetProgramLog(handle, pointer), nameof(NvrtcApi.nvrtcGetProgramLog));
        }

        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n');
    }
}
