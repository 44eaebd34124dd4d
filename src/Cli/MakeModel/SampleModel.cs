using System.Runtime.InteropServices;
using System.Text;
using Moe.Plugins.Checkpoints;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>
/// A model that babbles: its embedding is one direction for each token, and its head holds, for each token, what follows it how often in a short
/// text, and in harmony's headers. Attention and experts are random, and weak. So what it says looks like words, and means nothing.
/// </summary>
internal static class SampleModel
{
    private const string Text =
        "a layer of experts sends each token to a few of them. the router looks at the token and chooses. the others rest. so a large model "
        + "reads only a small part of its weights for each word. a backend is a file that lies in a folder. the host asks it how wide its rows "
        + "must be and then loads the weights once. it pads what must be padded and slices what comes out. a new kernel needs no new host. "
        + "there are many ways to do this and some of them are fast. measure before you believe. the first answer is not always the best one. "
        + "this text is here to be counted and not to be read. ";

    /// <summary>The logit of what never follows.</summary>
    private const double Never = -20;

    /// <summary>How far attention and experts may sway the choice.</summary>
    private const double Weak = 0.005;

    public static ModelTensor[] Tensors(GptOssConfig config, int seed)
    {
        int size = config.VocabularySize;
        if (config.HiddenSize < size)
        {
            throw new ArgumentException($"A hidden size of {config.HiddenSize} has no direction for each of {size} tokens.");
        }

        double[,] follows = Follows(size);

        // The norm makes the one element of a token √hidden large.
        double scale = Math.Sqrt(config.HiddenSize);
        return
        [
            .. RandomModel.Tensors(config, seed).Select(tensor => tensor.Name switch
            {
                "model.embed_tokens.weight" => Matrix(tensor, (row, column) => row == column ? 1 / Weak : 0),
                "lm_head.weight" => Matrix(tensor, (row, column) => column < size ? follows[column, row] / scale : 0),
                _ => tensor,
            }),
        ];
    }

    /// <summary>[token, next token], logarithms of probabilities.</summary>
    private static double[,] Follows(int size)
    {
        double[,] counts = new double[size, size];
        byte[] text = Encoding.ASCII.GetBytes(Text);
        for (int i = 1; i < text.Length; i++)
        {
            counts[Letter(text[i - 1]), Letter(text[i])]++;
        }

        int Special(string name) => SampleTokenizer.Id($"<|{name}|>");
        int assistant = SampleTokenizer.Id("assistant"), final = SampleTokenizer.Id("final"), analysis = SampleTokenizer.Id("analysis");
        counts[Special("start"), assistant] = 1;
        counts[assistant, Special("channel")] = 1;
        counts[Special("channel"), final] = 2;
        counts[Special("channel"), analysis] = 1;
        counts[final, Special("message")] = 1;
        counts[analysis, Special("message")] = 1;
        counts[Special("message"), Letter((byte)'t')] = 1;
        counts[Special("message"), Letter((byte)'a')] = 1;
        counts[Special("end"), Special("start")] = 1;

        // After a sentence the message may end, and with it the answer.
        double sentences = counts[Letter((byte)'.'), Letter((byte)' ')];
        counts[Letter((byte)'.'), Special("end")] = sentences / 4;
        counts[Letter((byte)'.'), Special("return")] = sentences / 4;

        double[,] logits = new double[size, size];
        for (int token = 0; token < size; token++)
        {
            double sum = Enumerable.Range(0, size).Sum(next => counts[token, next]);
            if (sum == 0)
            {
                // What the text has not leads back to it.
                sum = counts[token, Letter((byte)' ')] = 1;
            }

            for (int next = 0; next < size; next++)
            {
                logits[token, next] = counts[token, next] == 0 ? Never : Math.Log(counts[token, next] / sum);
            }
        }

        return logits;
    }

    private static int Letter(byte value) => SampleTokenizer.Id(value == ' ' ? "\u0120" : ((char)value).ToString());

    private static ModelTensor Matrix(ModelTensor tensor, Func<int, int, double> value)
    {
        int columns = (int)tensor.Shape[1];
        int place = 0;
        return new ModelTensor(tensor.Name, SafetensorsType.BF16, tensor.Shape, bytes =>
        {
            foreach (ref ushort element in MemoryMarshal.Cast<byte, ushort>(bytes))
            {
                element = MoeBFloat16.FromSingle((float)value(place / columns, place % columns));
                place++;
            }
        });
    }
}
